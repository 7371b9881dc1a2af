"""Make a model by its name: the name of a file in this folder."""

from __future__ import annotations

import inspect
from importlib import import_module
from pkgutil import iter_modules

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
    model: type[Ranker] = import_module(f"training.models.{name}").MODEL
    settings = config.models.get(name, {})
    parameters = inspect.signature(model).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ModelSettingsError(
            f"model {name} has no setting {', '.join(unknown)}; "
            f"under train.models.{name} in params.yaml it knows {', '.join(known) or 'none'}"
        )
    return model(spec, config, **settings)
