"""The `gatehouse` command: one subcommand a stage, and what people do with the results.

Stages are imported when they run, so that `--help` and completion stay quick.
"""

from pipelines.cli.entry import app, main

__all__ = ["app", "main"]
