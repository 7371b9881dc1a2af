"""Lineage: what each run of a stage read and wrote, as OpenLineage events, and the way back from a model."""
