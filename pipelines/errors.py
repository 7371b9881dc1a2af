"""Errors of the batch stages."""

from __future__ import annotations

from features.declarations.errors import GatehouseError


class SettingsError(GatehouseError):
    """params.yaml or the environment asks for something that cannot be."""


class RawDataError(GatehouseError):
    """A raw file is missing, unreadable or not in the shape its adapter knows."""


class MissingPartitionError(GatehouseError):
    """A stage needs a partition that no stage has written yet."""


class GateError(GatehouseError):
    """Data did not pass its gate. Retrying cannot help, so schedulers must not."""

    exit_code = 3


class NotValidatedError(GateError):
    """A stage was asked to go on with a partition that no gate has let through."""


class ConsistencyError(GateError):
    """What was served is not what the offline store knows."""


class PublishError(GatehouseError):
    """A model cannot be published or fetched."""


class OccupiedError(GatehouseError):
    """A folder to write into holds something that Gatehouse did not write."""


class ReportError(GatehouseError):
    """A note that the report reads was not written by a stage of this version."""


class LineageError(GatehouseError):
    """No run on record made what is asked about."""


class StageError(GatehouseError):
    """A stage that was run as a command failed."""
