"""The batch stages from a raw log to a published model, the lake they share, and the command line."""
