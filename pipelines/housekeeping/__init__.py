"""Housekeeping: what has to stay, what goes, and taking it away."""
