"""Every feature, declared once."""
