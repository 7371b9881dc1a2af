"""Somebody's own log, by a mapping file and without code; docs/data-contract.md walks through one."""

from __future__ import annotations

import math
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sf
from pyspark.sql.types import DateType, TimestampNTZType, TimestampType

from features.declarations.catalog import Catalog
from features.declarations.mapping import LabelMapping, Mapping, ProfileMapping, load_mapping
from pipelines.datasets.columns import Use, id_text, types_of
from pipelines.datasets.raw_files import content_hashes
from pipelines.datasets.reading import read_files
from pipelines.datasets.tables import (
    Outcome,
    RawTables,
    event_rows,
    finite,
    instant,
    profile_rows,
    raw_field,
    text,
)
from pipelines.days import Days
from pipelines.errors import RawDataError, SettingsError
from pipelines.settings import Settings

ONLY_SCENARIO = "all"
_REPLACED = "\ufffd"  # what Spark reads in the place of bytes that are no UTF-8
_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}


def read(spark: SparkSession, settings: Settings, days: Days) -> RawTables:
    """Read the mapped log and profiles."""
    path = settings.mapping
    if path is None:
        raise SettingsError("data set custom needs datasets.custom.mapping in params.yaml")
    mapping = load_mapping(path)
    way_out = f"Correct the column's name in {path}, or in the file."
    logs = _matching(path, mapping.events.path)
    log = read_files(spark, logs, _needed(mapping), way_out, uses=_uses(mapping))
    events = _events(log, mapping, settings.catalog)
    profiles = {}
    read_too = []
    for key, profile in (("user_id", mapping.users), ("item_id", mapping.items)):
        if profile is None:
            profiles[key] = events.filter(sf.col("reason").isNull()).select(key).distinct()
        else:
            files = _matching(path, str(profile.path))
            needed = [profile.id, *profile.categories, *profile.numbers]
            profiles[key] = _profile(read_files(spark, files, needed, way_out), key, profile)
            read_too += files
    return RawTables(
        events, profiles["user_id"], profiles["item_id"], content_hashes([path, *logs, *read_too])
    )


def _matching(mapping: Path, pattern: str) -> list[Path]:
    """Files that match `pattern`, which is relative to the mapping file or absolute."""
    anchor = Path(pattern).anchor
    root = Path(anchor) if anchor else mapping.parent
    try:
        files = sorted(path for path in root.glob(pattern.removeprefix(anchor)) if path.is_file())
    except (ValueError, NotImplementedError) as error:  # "**.csv", an empty text, a NUL
        raise RawDataError(f"{mapping} names {pattern!r}, which is no path: {error}") from error
    if not files:
        raise RawDataError(f"{mapping} names {pattern}, but {root} has no such file; correct the path")
    return files


def _needed(mapping: Mapping) -> list[str]:
    events = mapping.events
    optional = (events.scenario, events.event_id, events.created)
    labels = (label.column for label in mapping.labels.values())
    quantities = (quantity.column for quantity in mapping.quantities.values())
    named = (events.user, events.item, events.time, *optional, *labels, *quantities)
    return list(dict.fromkeys(name for name in named if name is not None))


def _uses(mapping: Mapping) -> dict[str, Use]:
    """What the named columns are read as."""
    events = mapping.events
    ids = (events.user, events.item, events.scenario, events.event_id)
    uses = [(name, Use.ID) for name in ids]
    uses += [(label.column, Use.NUMBER) for label in mapping.labels.values()]
    uses += [(quantity.column, Use.NUMBER) for quantity in mapping.quantities.values()]
    uses += [(events.time, Use.TIME), (events.created, Use.TIME)]
    return {name: use for name, use in uses if name is not None}


def _events(log: DataFrame, mapping: Mapping, catalog: Catalog) -> DataFrame:
    named = mapping.events
    scenario = sf.lit(ONLY_SCENARIO) if named.scenario is None else _identifier(log, named.scenario)
    return event_rows(
        log,
        catalog,
        ids={
            "user": _identifier(log, named.user),
            "item": _identifier(log, named.item),
            "scenario": scenario,
        },
        time=_time(log, named.time, named.time_unit),
        labels={task: _label(label) for task, label in mapping.labels.items()},
        quantities={
            quantity.name: finite(raw_field(mapping.quantities[quantity.name].column), quantity)
            for quantity in catalog.quantities
        },
        event_id=None if named.event_id is None else _identifier(log, named.event_id),
        created=None if named.created is None else _arrival(log, named.created, named.time_unit),
    )


def _identifier(raw: DataFrame, name: str) -> Column:
    """An id as text; null where it is infinite, NaN, or holds bytes that are no UTF-8.

    pandas turns whole numbers with gaps into floats, and CSV files then have 7.0, which becomes 7 again.
    """
    found = text(id_text(raw_field(name), types_of(raw)[name]))
    whole_again = sf.when(found.endswith(".0"), sf.regexp_replace(found, r"^(-?\d+)\.0+$", "$1")).otherwise(
        found
    )
    return sf.when(~found.contains(_REPLACED), whole_again)


def _time(raw: DataFrame, name: str, unit: str) -> Column:
    """A timestamp from a timestamp, a date, a number in `unit`, or text: a number or ISO 8601.

    Text must have a date: of a bare time of day Spark would make one of the day it runs on.
    """
    column = raw_field(name)
    if isinstance(types_of(raw)[name], TimestampType | TimestampNTZType | DateType):
        return instant(sf.unix_micros(column.cast("timestamp")))
    number = column.try_cast("decimal(30, 6)")
    microseconds = sf.try_multiply(number, sf.lit(_MICROSECONDS[unit])).try_cast("bigint")
    dated = sf.when(column.cast("string").rlike(r"^\s*\d{4}-\d{1,2}-\d{1,2}"), column.cast("string"))
    written = sf.unix_micros(dated.try_cast("timestamp"))
    return instant(sf.when(number.isNotNull(), microseconds).otherwise(written))


def _arrival(raw: DataFrame, name: str, unit: str) -> Outcome:
    """When a row was learnt of; pandas writes NaN where that is missing."""
    found = text(raw_field(name))
    missing = sf.lower(found) == "nan"
    return Outcome(found=sf.when(~missing, found), value=_time(raw, name, unit))


def _label(label: LabelMapping) -> Outcome:
    column = raw_field(label.column)
    number = sf.coalesce(column.try_cast("double"), column.try_cast("boolean").try_cast("double"))
    found = text(column)
    missing = found.isNull() | sf.coalesce(sf.isnan(number), sf.lit(False))
    finite = sf.abs(number) < sf.lit(math.inf)
    return Outcome(
        found=sf.when(~missing, found),
        value=sf.when(~missing & finite, (number >= label.at_least).cast("tinyint")),
    )


def _profile(raw: DataFrame, key: str, profile: ProfileMapping) -> DataFrame:
    numbers = {name: raw_field(name).try_cast("float") for name in profile.numbers}
    return profile_rows(
        raw,
        key,
        _identifier(raw, profile.id),
        {
            **{name: _identifier(raw, name) for name in profile.categories},
            **{name: sf.when(~sf.isnan(number), number) for name, number in numbers.items()},
        },
    )
