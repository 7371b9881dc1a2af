"""The parts of a data gate: partitions and their statistics, Great Expectations, findings in words."""
