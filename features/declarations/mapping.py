"""The YAML mapping by which somebody's own log becomes the event, user and item tables, and its catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.declarations.catalog import AuxiliaryTask, Catalog, Service, Task, Volume
from features.declarations.engagement import activity, standard_engagement
from features.declarations.entities import ITEM, SCENARIO, USER
from features.declarations.errors import DeclarationError
from features.declarations.features import DType, Encoding, Feature, Role
from features.declarations.groups import Profile, SequenceGroup, View
from features.declarations.quantities import Quantity
from features.declarations.windows import days
from features.declarations.yaml_file import read_yaml


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LabelMapping(_Strict):
    """A label: positive where `column` is at least `at_least`; null where the column is null.

    Attributes:
        column: a numeric or boolean column of the log.
        at_least: threshold of a positive.
        prior: the rate over the whole log, roughly, within (0, 1).
    """

    column: str
    at_least: float = 1.0
    prior: float = Field(gt=0.0, lt=1.0)


class QuantityMapping(_Strict):
    """A number each event is measured by, once it has happened; null where the column is null.

    Attributes:
        column: a numeric column of the log.
        default: what a model is told of a user or an item that has no value of it yet.
        low, high: inclusive bounds; a row beyond them is quarantined.
    """

    column: str
    default: float = 0.0
    low: float | None = None
    high: float | None = None


class AuxiliaryMapping(_Strict):
    """A question that networks learn beside the labels: whether `quantity` is at least `at_least`."""

    quantity: str
    at_least: float


class ProfileMapping(_Strict):
    """A table of user or item columns, one row per id.

    Attributes:
        path: CSV or Parquet, relative to the mapping file.
        id: its id column.
        categories, numbers: columns that become features.
    """

    path: Path
    id: str
    categories: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()


class EventMapping(_Strict):
    """Columns of the impression log.

    Attributes:
        path: CSV or Parquet file, or a glob of them, relative to the mapping file.
        user, item, time: columns; `scenario` is a column too, or null for a single scenario.
        event_id: the column that names an event; without it, (user, item, time) does.
        time_unit: how to read a numeric time column; text is read as ISO 8601, naive times as UTC.
        created: the column that says when the event was learnt of; default is the time itself.
    """

    path: str
    user: str
    item: str
    time: str
    scenario: str | None = None
    event_id: str | None = None
    created: str | None = None
    time_unit: Literal["s", "ms", "us"] = "s"


class Mapping(_Strict):
    """A whole mapping file; docs/data-contract.md walks through one."""

    events: EventMapping
    labels: dict[str, LabelMapping] = Field(min_length=1)
    quantities: dict[str, QuantityMapping] = {}
    auxiliaries: dict[str, AuxiliaryMapping] = {}
    users: ProfileMapping | None = None
    items: ProfileMapping | None = None
    windows: tuple[Annotated[int, Field(le=36_525)], ...] = Field(default=(1, 3, 7), min_length=1)  # days
    sequence_length: int = Field(default=20, ge=1, le=10_000)
    min_volume_ratio: float = 0.1
    max_volume_ratio: float = 5.0


def load_mapping(path: Path) -> Mapping:
    """Read and check a mapping file; `DeclarationError` names the file and every wrong entry."""
    try:
        return Mapping.model_validate(read_yaml(path, DeclarationError))
    except FileNotFoundError:
        raise DeclarationError(f"no mapping file at {path}; see docs/data-contract.md for one") from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise DeclarationError(f"{path} is not a valid mapping: {wrong}") from error


def mapped_catalog(mapping: Mapping) -> Catalog:
    """The catalog of a mapped log: standard engagement, recent positives and the mapped profiles."""
    tasks = tuple(Task(name, prior=label.prior) for name, label in mapping.labels.items())
    profiles: list[View] = []
    for name, key, profile in (("user", USER, mapping.users), ("item", ITEM, mapping.items)):
        if profile is not None and (profile.categories or profile.numbers):
            profiles.append(Profile(f"{name}_profile", (key,), f"{name}s", _profile_features(profile)))
    quantities = {
        name: Quantity(name, quantity.low, quantity.high) for name, quantity in mapping.quantities.items()
    }
    means = tuple((quantities[name], quantity.default) for name, quantity in mapping.quantities.items())
    windows = days(*mapping.windows)
    views: tuple[View, ...] = (
        *standard_engagement(tasks, windows),
        *activity(tasks, windows, means),
        SequenceGroup(
            "user_positives",
            (USER,),
            tasks[0].name,
            (ITEM, SCENARIO),
            length=mapping.sequence_length,
            window=windows[-1],
        ),
        *profiles,
    )
    return Catalog(
        dataset="custom",
        tasks=tasks,
        entities=(USER, ITEM, SCENARIO),
        views=views,
        services=(Service("ranker_v1", tuple(view.name for view in views)),),
        volume=Volume(mapping.min_volume_ratio, mapping.max_volume_ratio),
        context=(
            Feature("hour", DType.STRING, Role.GENERAL, Encoding.CATEGORY, description="hour of day, UTC"),
        ),
        quantities=tuple(quantities.values()),
        auxiliaries=tuple(_auxiliary(name, own, quantities) for name, own in mapping.auxiliaries.items()),
    )


def _auxiliary(name: str, mapped: AuxiliaryMapping, quantities: dict[str, Quantity]) -> AuxiliaryTask:
    if mapped.quantity not in quantities:
        raise DeclarationError(
            f"auxiliary task {name} asks for the quantity {mapped.quantity}, which the mapping does not "
            f"have; it has {', '.join(quantities) or 'none'}"
        )
    return AuxiliaryTask(name, quantities[mapped.quantity], mapped.at_least)


def _profile_features(profile: ProfileMapping) -> tuple[Feature, ...]:
    categories = (
        Feature(name, DType.STRING, Role.GENERAL, Encoding.CATEGORY, max_null_share=1.0)
        for name in profile.categories
    )
    numbers = (
        Feature(name, DType.FLOAT, Role.GENERAL, Encoding.NUMERIC, default=0.0, max_null_share=1.0)
        for name in profile.numbers
    )
    return (*categories, *numbers)
