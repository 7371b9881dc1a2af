"""What a feature is and how it is read: declarations, their compilers, Feast stores, lookups."""
