"""Spark as the batch stages use it: its session, the Java below it, and the lake's tables in it."""
