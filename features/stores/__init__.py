"""Feast's stores, extended at their own seams."""
