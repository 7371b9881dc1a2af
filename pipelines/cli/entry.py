"""The command line as a whole, and how an error ends it."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer
from pydantic import ValidationError

from features.declarations.errors import GatehouseError
from pipelines.cli.models import models
from pipelines.cli.results import PANEL as RESULTS_PANEL
from pipelines.cli.results import results
from pipelines.cli.stages import stages
from pipelines.cli.upkeep import upkeep
from pipelines.errors import SettingsError
from pipelines.settings import Settings

app = typer.Typer(
    name="gatehouse",
    help="From an impression log to a published multi-scenario ranker, one command a stage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for commands in (stages, results, upkeep):
    app.add_typer(commands)
app.add_typer(models, name="models", rich_help_panel=RESULTS_PANEL)


def main() -> NoReturn:
    """Run the command line; the project's own errors, a disk's and memory's end in one readable line."""
    from features.quick_feast import quicken_feast
    from pipelines.observing.logs import configure_logging, log_error
    from pipelines.shortage import shortage

    quicken_feast()
    log_format = "text"
    try:
        log_format = _environment().log_format
        configure_logging(log_format)
        app()
    except (GatehouseError, UnicodeError) as error:
        log_error(error, str(error), log_format)
        sys.exit(error.exit_code if isinstance(error, GatehouseError) else 1)
    except Exception as error:
        told = shortage(error)
        if told is None and not isinstance(error, OSError):
            raise
        log_error(error, told or str(error), log_format)
        sys.exit(1)
    sys.exit(0)


def _environment() -> Settings:
    """The settings, before anything is done with them.

    Raises:
        SettingsError: a variable of the environment has a value that it cannot have.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"GATEHOUSE_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()
        )
        raise SettingsError(f"the environment: {wrong}") from None
