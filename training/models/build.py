"""Make a model by its name: the name of a file in this folder."""

from __future__ import annotations

import inspect
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from features.declarations.names import checked_name
from training import models
from training.config import TrainConfig
from training.data.spec import InputSpec
from training.errors import ModelSettingsError, UnknownModelError
from training.models.base import Ranker

_NOT_MODELS = {"base", "build"}


def available() -> list[str]:
    """Names of the models there are, sorted."""
    return sorted({module.name for module in iter_modules(models.__path__)} - _NOT_MODELS)


def build(name: str, spec: InputSpec, config: TrainConfig) -> Ranker:
    """A fresh model, with the settings `config.models[name]` if there are any.

    Its weights are drawn from PyTorch's global generator: seed that first for the same model twice.

    Args:
        name: of a file in training/models; the file's `MODEL` is the class.
        spec: the columns to read and the tasks to predict.
        config: widths and the like, and each model's own settings.

    Raises:
        DeclarationError: `name` is not a valid name.
        UnknownModelError: there is no such file.
        ModelSettingsError: the model does not know one of its settings.
    """
    checked_name(name, "model")
    if name not in available():
        raise UnknownModelError(
            f"there is no model {name!r}; choose one of {', '.join(available())}, "
            f"or add training/models/{name}.py (docs/models.md shows how)"
        )
    settings, known = config.models.get(name, {}), _defaults(name)
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ModelSettingsError(
            f"model {name} has no setting {', '.join(unknown)}; "
            f"under train.models.{name} in params.yaml it knows {', '.join(known) or 'none'}"
        )
    return _class(name)(spec, config, **settings)


def settings_of(name: str, config: TrainConfig) -> dict[str, Any]:
    """All own settings of a model as `build` makes it, the defaults included."""
    return {**_defaults(name), **config.models.get(name, {})}


def _class(name: str) -> type[Ranker]:
    model: type[Ranker] = import_module(f"training.models.{name}").MODEL
    return model


def _defaults(name: str) -> dict[str, Any]:
    """A model's own settings with their defaults: the keyword-only arguments of its constructor."""
    parameters = inspect.signature(_class(name)).parameters.values()
    return {own.name: own.default for own in parameters if own.kind is own.KEYWORD_ONLY}
