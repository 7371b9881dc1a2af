"""Promotion: a challenger against the champion on the same held-out rows."""
