"""Compilers: from the declarations to Spark, Feast and Great Expectations."""
