"""Errors of training."""

from __future__ import annotations

from features.declarations.errors import GatehouseError


class UnknownModelError(GatehouseError):
    """A model was asked for that no file of training/models defines."""


class ModelSettingsError(GatehouseError):
    """A model's own settings name something it does not know, or a value it cannot work with."""


class BusyError(GatehouseError):
    """Another process trains the same model on the same days."""


class DivergedError(GatehouseError):
    """The loss became NaN or infinite."""


class ArtifactError(GatehouseError):
    """A model directory that cannot be loaded, or must not be."""


class ExportError(GatehouseError):
    """A model that cannot be written in another form, or not on this machine."""
