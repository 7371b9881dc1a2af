"""One adapter a data set: from its raw files to the common event, user and item tables."""
