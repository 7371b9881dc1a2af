"""The tables every adapter yields, and the one way raw rows become events or quarantined rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as sf

from features.declarations.catalog import Catalog
from features.declarations.entities import ITEM, SCENARIO, USER
from features.declarations.quantities import Quantity

# What str.isspace() knows, and the byte order mark that some tools leave inside a file.
_WHITE = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\ufeff"
_FLOAT32_MAX = 3.4028234663852886e38
_LAST_MICROSECOND = 253_402_300_799_999_999  # of the year 9999, the last that other tools can hold


@dataclass(frozen=True, slots=True)
class RawTables:
    """What an adapter makes of its raw files.

    Attributes:
        events: one row per row of the raw log: the columns of the event table, `reason` (null
            where the row is usable, else why it is not), `raw` (struct of the row as it was
            found), `source` (its file) and `line` (its number there, from 1).
        users, items: one row per id: key, profile columns, link ids.
        inputs: raw file to content hash.
        truth: event_id, event_timestamp and the true probability of each task, where known.
    """

    events: DataFrame
    users: DataFrame
    items: DataFrame
    inputs: Mapping[str, str]
    truth: DataFrame | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A label, a quantity or a time as found and as read; found but not readable means quarantine."""

    found: Column
    value: Column


def raw_field(name: str) -> Column:
    """A column of the row as it was found; a name may hold dots and blanks."""
    return sf.col("raw").getField(name)


def whole_number_id(column: Column) -> Column:
    """An id that must be a whole number, as text without padding; null where it is none."""
    return column.try_cast("bigint").cast("string")


def text(column: Column) -> Column:
    """Text without white space around it; null where nothing is left."""
    return sf.nullif(sf.trim(column.cast("string"), sf.lit(_WHITE)), sf.lit(""))


def instant(microseconds: Column) -> Column:
    """A UTC timestamp; null for what is no time after 1970 and before the year 10000."""
    return sf.when(microseconds.between(1, _LAST_MICROSECOND), sf.timestamp_micros(microseconds))


def zero_or_one(column: Column) -> Outcome:
    """A label that must be 0 or 1 (or missing)."""
    number = column.try_cast("double")
    return Outcome(found=column, value=sf.when(number.isin(0.0, 1.0), number.cast("tinyint")))


def finite(column: Column, quantity: Quantity, scale: float = 1.0) -> Outcome:
    """A quantity that must be a finite number within its bounds (or missing), times `scale`."""
    number = column.try_cast("double") * sf.lit(scale)
    usable = sf.abs(number) <= _FLOAT32_MAX  # false for infinities; NaN is greater than any number
    if quantity.low is not None:
        usable &= number >= quantity.low
    if quantity.high is not None:
        usable &= number <= quantity.high
    return Outcome(found=text(column), value=sf.when(usable, number.cast("float")))


def event_columns(catalog: Catalog) -> list[str]:
    """Columns of the event table, in order."""
    return [
        "event_id", "event_timestamp", "created_timestamp",
        *(entity.column for entity in catalog.entities),
        *(task.column for task in catalog.tasks),
        *(quantity.name for quantity in catalog.quantities),
        *(feature.name for feature in catalog.context),
    ]  # fmt: skip


def event_rows(
    raw: DataFrame,
    catalog: Catalog,
    *,
    ids: Mapping[str, Column],
    time: Column,
    labels: Mapping[str, Outcome],
    quantities: Mapping[str, Outcome] | None = None,
    event_id: Column | None = None,
    created: Outcome | None = None,
) -> DataFrame:
    """`RawTables.events` from rows as `read_files` gives them.

    Args:
        raw: columns `raw`, `source`, `line`, `malformed`, and whatever the other arguments name.
        catalog: says which columns the event table has.
        ids: entity name to its id, for every entity of the catalog.
        time: when it happened.
        labels: task name to its label.
        quantities: quantity name to its value, for every quantity of the catalog.
        event_id: what names an event within its day; by default user, item and time do.
        created: when it was learnt of; by default, and where null, when it happened.
    """
    happened = raw.withColumn("event_timestamp", time)
    for entity, column in ids.items():
        happened = happened.withColumn(f"{entity}_id", column)
    named = happened.withColumn("event_id", _event_name() if event_id is None else event_id)
    learnt = sf.col("event_timestamp")
    if created is not None:
        learnt = sf.coalesce(created.value, learnt)
    named = named.withColumn("created_timestamp", learnt)
    for task, label in labels.items():
        named = named.withColumn(f"label_{task}", label.value)
    numbers = quantities or {}
    arrival = {} if created is None else {"created_timestamp": created}
    named = named.withColumns({name: number.value for name, number in numbers.items()})
    named = named.withColumn("hour", sf.hour("event_timestamp").cast("string"))
    return named.select(
        *event_columns(catalog), _reason(labels, numbers, arrival).alias("reason"), "raw", "source", "line"
    )


def _event_name() -> Column:
    """`user:item:microseconds`, unambiguous because colons within ids are encoded."""
    return sf.concat_ws(
        ":",
        sf.url_encode("user_id"), sf.url_encode("item_id"), sf.unix_micros("event_timestamp").cast("string"),
    )  # fmt: skip


def _reason(
    labels: Mapping[str, Outcome], quantities: Mapping[str, Outcome], times: Mapping[str, Outcome]
) -> Column:
    """The first thing that makes a row unusable; null where nothing does."""
    checks = [
        (sf.col(entity.column).isNull(), f"{entity.column} is missing or unreadable")
        for entity in (USER, ITEM, SCENARIO)
    ]
    checks += [
        (sf.col("event_timestamp").isNull(), "the time is missing or unreadable"),
        (sf.col("event_id").isNull(), "event_id is missing or unreadable"),
    ]
    checks += [
        (time.found.isNotNull() & time.value.isNull(), f"{name} is not readable")
        for name, time in times.items()
    ]
    checks += [
        (label.found.isNotNull() & label.value.isNull(), f"label {task} is not readable")
        for task, label in labels.items()
    ]
    checks += [
        (number.found.isNotNull() & number.value.isNull(), f"{name} is not a number within its bounds")
        for name, number in quantities.items()
    ]
    return sf.coalesce("malformed", *(sf.when(failed, sf.lit(reason)) for failed, reason in checks))


def profile_rows(raw: DataFrame, key: str, key_id: Column, columns: Mapping[str, Column]) -> DataFrame:
    """A profile table from rows as `read_files` gives them; of several rows with one id the first counts."""
    order = Window.partitionBy(key).orderBy("source", "line")
    return (
        raw.withColumn(key, key_id)
        .filter(sf.col(key).isNotNull())
        .withColumn("_nth", sf.row_number().over(order))
        .filter(sf.col("_nth") == 1)
        .select(key, *(column.alias(name) for name, column in columns.items()))
    )


def linked(rows: DataFrame, key_id: Column, profile: DataFrame, key: str, *columns: str) -> DataFrame:
    """`rows` with `columns` of the profile row whose `key` is `key_id`; null where there is none."""
    known = profile.select(sf.col(key).alias("_key"), *columns)
    return rows.join(sf.broadcast(known), key_id == sf.col("_key"), "left").drop("_key")
