"""Bad values: ids, labels and quantities that are missing, unreadable, huge or strange; days of odd sizes."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pandas as pd
import pyarrow as pa

from tests.chaos.bad_data.days import Day, File, csv, good_rows, parquet
from tests.chaos.bad_data.kinds import Handled, Refused, Spoilt, kind

QUARANTINE = ("events", "DS", "raw rows are in quarantine", "for example FILE row")
NO_ID = "a row without a user, an item or a scenario is quarantined"


@kind("every user is missing", Refused("events", (*QUARANTINE, "user_id is missing or unreadable")))
def _(day: Day) -> Spoilt:
    return csv(day.rows.assign(uid=""))


@kind("some users are missing", Handled(NO_ID, quarantined=2, reason="user_id is missing or unreadable"))
def _(day: Day) -> Spoilt:
    spoilt = day.some()
    return csv(day.with_text("uid", dict.fromkeys(spoilt, ""))), day.rows.drop(index=spoilt)


@kind("items of nothing but blanks", Handled(NO_ID, quarantined=2, reason="item_id is missing or unreadable"))
def _(day: Day) -> Spoilt:
    spoilt = day.some()
    blanks = dict(zip(spoilt, ("  ", "\t\u00a0"), strict=True))
    return csv(day.with_text("sku", blanks)), day.rows.drop(index=spoilt)


@kind(
    "users that are null, NaN and infinite, in Parquet",
    Handled(NO_ID, quarantined=3, reason="user_id is missing or unreadable"),
)
def _(day: Day) -> Spoilt:
    spoilt = day.some(3)
    numbers = day.rows["uid"].str.removeprefix("user ").astype(float)
    mask = [row == spoilt[0] for row in range(len(numbers))]
    numbers[spoilt[1]], numbers[spoilt[2]] = math.nan, math.inf
    table = pa.Table.from_pandas(day.rows, preserve_index=False)
    kept = day.rows.drop(index=spoilt)
    return (
        parquet(table.set_column(0, "uid", pa.array(numbers.to_numpy(), mask=np.array(mask)))),
        kept.assign(uid=kept["uid"].str.removeprefix("user ")),
    )


@kind("whole numbers as ids, with .0 behind them", Handled("a whole number that was saved as 7.0 becomes 7"))
def _(day: Day) -> Spoilt:
    rows = day.rows.assign(uid=day.rows["uid"].str.removeprefix("user "))
    return csv(rows.assign(uid=rows["uid"].astype(float))), rows


@kind("ids of another type than in the files before", Handled("files need not agree on types"))
def _(day: Day) -> Spoilt:
    rows = day.rows.assign(uid=day.rows["uid"].str.removeprefix("user "))
    return parquet(rows.assign(uid=rows["uid"].astype("int64"))), rows


@kind("huge and negative ids", Handled("ids are text, of any length"))
def _(day: Day) -> Spoilt:
    names = ["-1", "0", "18446744073709551616", "9" * 400, "x" * 5000]
    rows = day.with_text("uid", dict(zip(day.some(5), names, strict=True)))
    return csv(rows), rows


@kind(
    "ids in all scripts",
    Handled("ids are text, compared by their bytes; letters that look alike are not alike"),
)
def _(day: Day) -> Spoilt:
    names = ["Łódź", "東京", "مرحبا", "👩🏽\u200d🚀", "\u00e9", "e\u0301"]
    rows = day.with_text("uid", dict(zip(day.some(6), names, strict=True)))
    return csv(rows), rows


@kind("ids with separators", Handled("ids are text, whatever characters they are made of"))
def _(day: Day) -> Spoilt:
    names = ["a:b", "a,b", "a/b=c", "a%3Ab", 'a"b', "a'b", "a\\b", "a\tb", "a;b", "../a", "{}", "-"]
    spoilt = day.some(len(names))
    rows = day.with_text("uid", dict(zip(spoilt, names, strict=True)))
    rows.loc[spoilt, "sku"] = names[::-1]
    return csv(rows), rows


@kind("ids with white space around them", Handled("white space around an id is no part of it"))
def _(day: Day) -> Spoilt:
    spoilt = day.some(4)
    padded = {
        row: f"{before}{day.rows['uid'][row]}{after}"
        for row, before, after in zip(
            spoilt, (" ", "\t", "", "\u00a0"), ("", " ", "\r", "\u3000"), strict=True
        )
    }
    return csv(day.with_text("uid", padded)), day.rows


@kind("words for nothing as ids", Handled("only an empty field is missing: nan, None and NULL are ids"))
def _(day: Day) -> Spoilt:
    rows = day.with_text("uid", dict(zip(day.some(4), ("nan", "None", "NULL", "\\N"), strict=True)))
    return csv(rows), rows


@kind(
    "an id with a byte that is no UTF-8, deep in the file",
    Handled(
        "an id with bytes that are no UTF-8 is unreadable",
        quarantined=1,
        reason="user_id is missing or unreadable",
    ),
)
def _(day: Day) -> Spoilt:
    rows = day.rows.assign(note="x" * 4000)  # beyond what is read for the header
    text = rows.assign(uid=[*rows["uid"][:-1], "J\u00f6rgen"]).to_csv(index=False)
    return File(".csv", text.encode("latin-1")), day.rows.iloc[:-1]


@kind("a scenario never seen before", Handled("scenarios come and go"))
def _(day: Day) -> Spoilt:
    rows = day.with_text("page", dict.fromkeys(day.some(9), "Black Friday"))
    return csv(rows), rows


@kind("a scenario that vanishes", Handled("scenarios come and go"))
def _(day: Day) -> Spoilt:
    rows = day.rows.assign(page="home")
    return csv(rows), rows


@kind("every scenario is missing", Refused("events", (*QUARANTINE, "scenario_id is missing or unreadable")))
def _(day: Day) -> Spoilt:
    return csv(day.rows.assign(page=""))


@kind("a label that is all null", Refused("events", ("events", "DS", "label_click", "not null in every row")))
def _(day: Day) -> Spoilt:
    return csv(day.rows.assign(clicked=""))


@kind(
    "a label that is 0 in every row",
    Handled("a day's labels may all be the same; the training gate wants both"),
)
def _(day: Day) -> Spoilt:
    rows = day.rows.assign(clicked=0)
    return csv(rows), rows


@kind(
    "labels that are missing",
    Handled("a missing label (empty, null, NaN) is null: the event counts, its label does not"),
)
def _(day: Day) -> Spoilt:
    spoilt = day.some(9)
    values = dict(zip(spoilt, ["", "NaN", "nan"] * 3, strict=True))
    rows = day.rows.assign(clicked=day.rows["clicked"].astype(float))
    rows.loc[spoilt, "clicked"] = math.nan
    return csv(day.with_text("clicked", values)), rows


@kind("labels as true and false, yes and no", Handled("true and yes read as 1, false and no as 0"))
def _(day: Day) -> Spoilt:
    words = {0: ["false", "no", "FALSE", "f"], 1: ["true", "yes", "True", "t"]}
    return csv(
        day.rows.assign(clicked=[words[yes][row % 4] for row, yes in day.rows["clicked"].items()])
    ), day.rows


@kind("labels as booleans, in Parquet", Handled("true and yes read as 1, false and no as 0"))
def _(day: Day) -> Spoilt:
    return parquet(day.rows.assign(clicked=day.rows["clicked"] == 1)), day.rows


@kind("labels as 1.0 and 0.0", Handled("a label is 1 from `at_least` on, 0 below"))
def _(day: Day) -> Spoilt:
    return csv(day.rows.assign(clicked=day.rows["clicked"].astype(float))), day.rows


@kind("labels that are words", Refused("events", (*QUARANTINE, "label click is not readable")))
def _(day: Day) -> Spoilt:
    return csv(day.with_text("clicked", dict.fromkeys(day.some(9), "maybe")))


@kind(
    "labels that are infinite",
    Handled(
        "a label that is no finite number is unreadable", quarantined=2, reason="label click is not readable"
    ),
)
def _(day: Day) -> Spoilt:
    spoilt = day.some()
    values = dict(zip(spoilt, ("inf", "-Infinity"), strict=True))
    return csv(day.with_text("clicked", values)), day.rows.drop(index=spoilt)


@kind("numbers with a decimal comma", Refused("events", (*QUARANTINE, "label buy is not readable")))
def _(day: Day) -> Spoilt:
    return csv(day.rows.assign(paid=day.rows["paid"].astype(str).str.replace(".", ",")))


@kind(
    "numbers with thousands separators",
    Refused("ingest", ("FILE", "no row with a usable time")),
)
def _(day: Day) -> Spoilt:
    return csv(day.rows.assign(at=day.rows["at"].map("{:,}".format)))


@kind(
    "quantities that are NaN, infinite, or beyond a float",
    Handled(
        "a quantity that is no finite number within its bounds puts its row into quarantine",
        quarantined=3,
        reason="looked is not a number within its bounds",
    ),
)
def _(day: Day) -> Spoilt:
    spoilt = day.some(3)
    values = dict(zip(spoilt, ("NaN", "-inf", "1e39"), strict=True))
    return csv(day.with_text("seconds", values)), day.rows.drop(index=spoilt)


@kind(
    "quantities below their bound",
    Refused("events", (*QUARANTINE, "looked is not a number within its bounds")),
)
def _(day: Day) -> Spoilt:
    return csv(day.rows.assign(seconds=-day.rows["seconds"] - 1))


@kind("quantities that are missing", Handled("a missing quantity is null"))
def _(day: Day) -> Spoilt:
    rows = day.rows.assign(seconds=math.nan)
    return csv(rows), rows


@kind(
    "fields that moved one column on",
    Refused("ingest", ("FILE", "no row with a usable time")),
)
def _(day: Day) -> Spoilt:
    moved = day.rows[[*day.rows.columns[-1:], *day.rows.columns[:-1]]]
    return csv(moved.set_axis(day.rows.columns, axis="columns"))


@kind("a day without a row", Refused("events", ("events", "DS", "0 rows", "times the usual")))
def _(day: Day) -> Spoilt:
    return csv(day.rows.iloc[:0])


@kind("a day of one row", Refused("events", ("events", "DS", "1 rows", "times the usual")))
def _(day: Day) -> Spoilt:
    return csv(day.rows.iloc[:1])


@kind("ten times the day", Refused("events", ("events", "DS", "600 rows", "times the usual")))
def _(day: Day) -> Spoilt:
    return csv(good_rows(day.ds, Random(day.numbers.random()), 600))


SAME = "rows of one event count once"


@kind("every row twice", Handled(SAME, duplicates=60))
def _(day: Day) -> Spoilt:
    return csv(pd.concat([day.rows, day.rows])), day.rows


@kind("one row ten thousand times", Handled(SAME, duplicates=10_000))
def _(day: Day) -> Spoilt:
    row = day.some(1)
    return csv(pd.concat([day.rows, *[day.rows.loc[row]] * 10_000])), day.rows


@kind("corrections", Handled("of the rows of one event the one learnt of last counts", duplicates=5))
def _(day: Day) -> Spoilt:
    corrected = day.some(5)
    rows = day.rows.copy()
    rows.loc[corrected, "clicked"] = 1 - rows.loc[corrected, "clicked"]
    rows.loc[corrected, "seen"] += 3_600_000
    return csv(pd.concat([rows.loc[corrected], day.rows])), rows


@kind("rows in any order", Handled("a partition is sorted, whatever the order of the log"))
def _(day: Day) -> Spoilt:
    return csv(day.rows.sample(frac=1, random_state=day.numbers.randrange(1000))), day.rows
