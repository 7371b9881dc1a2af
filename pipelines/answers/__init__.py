"""Answers of the online store beside those of the offline store, value by value."""
