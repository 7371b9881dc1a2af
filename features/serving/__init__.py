"""How features are read online."""
