"""A comparison of models on paper: the page and the pictures, from results alone."""
