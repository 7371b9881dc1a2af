"""A log made up in Spark: planted user, item and scenario effects, so the best reachable AUC is known.

Everything is drawn by hashing (seed, name of the draw, keys). A user, an item and the n-th event
of a day are therefore always the same, whatever else is generated and however Spark splits it.

An impression's chance of a click is logistic in

    bias[scenario] + m match[user, item, scenario] + a (quality[item] + appeal[item]) + 0.4 swing[item, day]
    match = sign_0[scenario] taste_0[user] style_0[item] + sign_1[scenario] taste_1[user] style_1[item]

with m = 0.9 and a = 0.5, but m = 0 and a = 1 in a user's first three days: a newcomer clicks what is
popular, whatever his taste. Odd scenarios flip the first sign, and of every four the last two the second.
The appeal stands in no column. A clicked impression is liked with a chance logistic in the item's
quality and the user's first taste, and looked at for longer, the more so the better the item is.

A third of the users register one by one during the log's days, the last ones in its test days.
docs/simulator.md says what of this a model can know, and from where.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import pi, sqrt

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sf

from features.declarations.simulated import CATALOG, DWELL_SECONDS
from pipelines.datasets.tables import RawTables, event_rows, finite, raw_field, zero_or_one
from pipelines.days import Days
from pipelines.settings import Settings, Simulation

LARGEST_SHARE = 0.75  # of the traffic, in scenario s0
SMALLEST_SHARE = 0.003  # in the last scenario
LATE_EVERY = 3  # one user in so many registers during the log's days
NEWCOMER_DAYS = 3  # for so long a user clicks what is popular
OLDEST_DAYS = 1_000  # before the log, when its first users registered
DUPLICATE_SHARE = 0.005
ITEMS_PER_AUTHOR = 5
SWING_DAYS = 14
_EPOCH_DAY = 719_163  # date.toordinal() of 1970-01-01
_MICROSECONDS_A_DAY = 86_400_000_000


def read(spark: SparkSession, settings: Settings, days: Days) -> RawTables:
    """Make up the log of exactly `days`."""
    simulation = settings.dataset_params.simulation
    world = _World(simulation, settings.dataset_params.days)
    drawn = world.impressions(spark, days)
    again = drawn.filter(world.uniform("duplicate", sf.col("day"), sf.col("nth")) < DUPLICATE_SHARE)
    repeated = again.withColumn("line", sf.col("line") + simulation.events_per_day)
    rows = drawn.unionByName(repeated).select(
        sf.struct("id", "time", "user", "item", "scenario", "author", "click", "like", "dwell").alias("raw"),
        sf.lit("simulated").alias("source"),
        "line",
        sf.lit(None).cast("string").alias("malformed"),
    )
    events = event_rows(
        rows,
        CATALOG,
        ids={name: raw_field(name) for name in ("user", "item", "scenario", "author")},
        time=raw_field("time"),
        labels={task.name: zero_or_one(raw_field(task.name)) for task in CATALOG.tasks},
        quantities={DWELL_SECONDS.name: finite(raw_field("dwell"), DWELL_SECONDS)},
        event_id=raw_field("id"),
    )
    truth = drawn.select(
        sf.col("id").alias("event_id"), sf.col("time").alias("event_timestamp"), "p_click", "p_like"
    )
    drawn_from = simulation.model_dump_json() + world.days.model_dump_json()
    source = hashlib.sha256(drawn_from.encode()).hexdigest()
    return RawTables(events, world.users(spark), world.items(spark), {"simulation": source}, truth)


@dataclass(frozen=True, slots=True)
class _World:
    """The draws of one simulation; users, items and scenarios are numbered from 0.

    Attributes:
        simulation: sizes and seed.
        days: the days of the whole log, whichever of them are made; users register during them.
    """

    simulation: Simulation
    days: Days

    def uniform(self, draw: str, *keys: Column) -> Column:
        """A number in [0, 1), fixed by the seed, the name of the draw and its keys."""
        hashed = sf.xxhash64(sf.lit(self.simulation.seed), sf.lit(draw), *keys)
        return sf.shiftrightunsigned(hashed, 11) * sf.lit(2.0**-53)

    def bell(self, draw: str, *keys: Column) -> Column:
        """Mean 0, variance 1, nearly normal: a sum of four uniforms."""
        total = sum((self.uniform(f"{draw}.{part}", *keys) for part in range(4)), sf.lit(-2.0))
        return total * sqrt(3.0)

    def users(self, spark: SparkSession) -> DataFrame:
        user = sf.col("id")
        return spark.range(self.simulation.users).select(
            _named("u", user).alias("user_id"),
            *(self.bell(f"taste_{axis}", user).cast("float").alias(f"taste_{axis}") for axis in (0, 1)),
            self._activity(user).cast("float").alias("activity"),
            self._registered(user).alias("registered_at"),
        )

    def items(self, spark: SparkSession) -> DataFrame:
        item = sf.col("id")
        return spark.range(self.simulation.items).select(
            _named("i", item).alias("item_id"),
            *(self.bell(f"style_{axis}", item).cast("float").alias(f"style_{axis}") for axis in (0, 1)),
            self.bell("quality", item).cast("float").alias("quality"),
            self._author(item).alias("author_id"),
        )

    def impressions(self, spark: SparkSession, days: Days) -> DataFrame:
        """One row an impression, without duplicates; `day` counts from 1970-01-01."""
        size = self.simulation.events_per_day
        first = days.start.toordinal() - _EPOCH_DAY
        position = sf.col("id")
        rows = spark.range(len(days) * size).select(
            sf.floor(position / size).alias("_offset"), (position % size).alias("nth")
        )
        rows = rows.select((sf.col("_offset") + first).alias("day"), "nth")
        day, nth = sf.col("day"), sf.col("nth")
        second = sf.floor(self.uniform("time", day, nth) * _MICROSECONDS_A_DAY)
        rows = rows.withColumn("_instant", day * _MICROSECONDS_A_DAY + second)
        rows = rows.withColumns(
            {
                "_user": self._registered_user(
                    self._skewed("user", self.simulation.users, day, nth), sf.col("_instant")
                ),
                "_item": self._skewed("item", self.simulation.items, day, nth),
                "_scenario": self._scenario(self.uniform("scenario", day, nth)),
            }
        )
        rows = rows.withColumn("_age", sf.col("_instant") - self._registered(sf.col("_user")))
        rows = rows.withColumns(
            {
                "p_click": self._click(
                    sf.col("_user"), sf.col("_item"), sf.col("_scenario"), day,
                    newcomer=sf.col("_age") < NEWCOMER_DAYS * _MICROSECONDS_A_DAY,
                ),
                "_p_like": self._like(sf.col("_user"), sf.col("_item")),
            }
        )  # fmt: skip
        click = self.uniform("click", day, nth) < sf.col("p_click")
        like = click & (self.uniform("like", day, nth) < sf.col("_p_like"))
        return rows.select(
            "day",
            "nth",
            (nth + 1).alias("line"),
            sf.concat_ws(
                "-", sf.date_from_unix_date(day.cast("int")).cast("string"), nth.cast("string")
            ).alias("id"),
            sf.timestamp_micros("_instant").alias("time"),
            _named("u", sf.col("_user")).alias("user"),
            _named("i", sf.col("_item")).alias("item"),
            _named("s", sf.col("_scenario")).alias("scenario"),
            self._author(sf.col("_item")).alias("author"),
            click.cast("tinyint").alias("click"),
            like.cast("tinyint").alias("like"),
            self._dwell(click, sf.col("_item"), day, nth).alias("dwell"),
            "p_click",
            (sf.col("p_click") * sf.col("_p_like")).alias("p_like"),
        )

    def _skewed(self, draw: str, count: int, *keys: Column) -> Column:
        """An index below `count`; small ones come up most, with density 1 / (2 sqrt(index / count))."""
        drawn = self.uniform(draw, *keys)
        return sf.floor(drawn * drawn * count)

    def _activity(self, user: Column) -> Column:
        """How often a registered user comes up, relative to the average user."""
        return 0.5 / sf.sqrt((user + 0.5) / self.simulation.users)

    def _registered(self, user: Column) -> Column:
        """When a user registered, microseconds since 1970: during the log's days, or long before them."""
        drawn = self.uniform("registered", user)
        day = sf.when(user % LATE_EVERY == 1, drawn * len(self.days)).otherwise(
            -NEWCOMER_DAYS - drawn * OLDEST_DAYS
        )
        first = self.days.start.toordinal() - _EPOCH_DAY
        return sf.floor((first + day) * _MICROSECONDS_A_DAY)

    def _registered_user(self, user: Column, instant: Column) -> Column:
        """Until a late user registers, the user numbered one below, who was there before, is seen instead."""
        return sf.when(self._registered(user) <= instant, user).otherwise(user - 1)

    def _author(self, item: Column) -> Column:
        authors = max(1, self.simulation.items // ITEMS_PER_AUTHOR)
        return _named("a", sf.floor(self.uniform("author", item) * authors))

    def _scenario(self, drawn: Column) -> Column:
        """One large scenario, a tiny last one, and equal shares between them."""
        count = self.simulation.scenarios
        if count == 1:
            return sf.lit(0)
        if count == 2:
            return sf.when(drawn < 1.0 - SMALLEST_SHARE, 0).otherwise(1)
        between = (1.0 - LARGEST_SHARE - SMALLEST_SHARE) / (count - 2)
        middle = 1 + sf.least(sf.floor((drawn - LARGEST_SHARE) / between), sf.lit(count - 3))
        return (
            sf.when(drawn < LARGEST_SHARE, 0).when(drawn >= 1.0 - SMALLEST_SHARE, count - 1).otherwise(middle)
        )

    def _click(
        self, user: Column, item: Column, scenario: Column, day: Column, *, newcomer: Column
    ) -> Column:
        signs = (1 - 2 * (scenario % 2), 1 - 2 * (sf.floor(scenario / 2) % 2))
        match = sum(
            (
                sign * self.bell(f"taste_{axis}", user) * self.bell(f"style_{axis}", item)
                for axis, sign in enumerate(signs)
            ),
            sf.lit(0.0),
        )
        popularity = self.bell("quality", item) + self.bell("appeal", item)
        preference = sf.when(newcomer, popularity).otherwise(0.9 * match + 0.5 * popularity)
        swing = sf.sin(2 * pi * (day / SWING_DAYS + self.uniform("swing", item)))
        bias = -1.3 + 0.7 * self.bell("bias", scenario)
        return _logistic(bias + preference + 0.4 * swing)

    def _like(self, user: Column, item: Column) -> Column:
        return _logistic(-1.9 + 0.8 * self.bell("quality", item) + 0.6 * self.bell("taste_0", user))

    def _dwell(self, click: Column, item: Column, day: Column, nth: Column) -> Column:
        """Seconds, to the millisecond: a glance without a click; with one, longer on a better item."""
        drawn = -sf.log(1.0 - self.uniform("dwell", day, nth))
        usual = sf.when(click, 20.0 * sf.exp(0.5 * self.bell("quality", item))).otherwise(1.5)
        return sf.round(drawn * usual, 3).cast("float")


def _named(letter: str, number: Column) -> Column:
    return sf.concat(sf.lit(letter), number.cast("string"))


def _logistic(logit: Column) -> Column:
    return 1.0 / (1.0 + sf.exp(-logit))
