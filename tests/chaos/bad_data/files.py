"""Bad files: columns that are not there or twice, other formats, broken bytes."""

from __future__ import annotations

import gzip

import pandas as pd
import pyarrow as pa

from tests.chaos.bad_data.days import Day, File, csv, gz, parquet
from tests.chaos.bad_data.kinds import Handled, Refused, Spoilt, kind

COLUMN = "'clicked'"


@kind(
    "a column is missing",
    Refused("ingest", ("FILE", "60 rows", COLUMN, "its columns are", "Correct the column's name")),
)
def _(day: Day) -> Spoilt:
    return csv(day.rows.drop(columns="clicked"))


@kind("a column is renamed", Refused("ingest", ("FILE", COLUMN, "closest is 'was_clicked'")))
def _(day: Day) -> Spoilt:
    return csv(day.rows.rename(columns={"clicked": "was_clicked"}))


@kind("a column's name is in other case", Refused("ingest", ("FILE", COLUMN, "closest is 'Clicked'")))
def _(day: Day) -> Spoilt:
    return csv(day.rows.rename(columns={"clicked": "Clicked"}))


@kind("a column's name has a blank before it", Refused("ingest", ("FILE", COLUMN, "closest is ' clicked'")))
def _(day: Day) -> Spoilt:
    return csv(day.rows.rename(columns={"clicked": " clicked"}))


@kind("a column is missing in Parquet", Refused("ingest", ("FILE", "60 rows", COLUMN)))
def _(day: Day) -> Spoilt:
    return parquet(day.rows.drop(columns="clicked"))


@kind("two columns have one name", Refused("ingest", ("FILE", "several columns called clicked", "rename")))
def _(day: Day) -> Spoilt:
    return csv(day.rows.assign(again=0).rename(columns={"again": "clicked"}))


@kind(
    "two columns differ by case only", Refused("ingest", ("FILE", "several columns called clicked", "rename"))
)
def _(day: Day) -> Spoilt:
    return parquet(day.rows.assign(Clicked=0))


@kind("the header is missing", Refused("ingest", ("FILE", "has no column 'uid'")))
def _(day: Day) -> Spoilt:
    return csv(day.rows, header=False)


@kind("fields are separated by semicolons", Refused("ingest", ("FILE", "has no column 'uid'")))
def _(day: Day) -> Spoilt:
    return csv(day.rows, sep=";")


@kind("a quote in the header is not closed", Refused("ingest", ("FILE", "no readable header", "quote")))
def _(day: Day) -> Spoilt:
    return File(".csv", b'"' + csv(pd.concat([day.rows] * 60)).content)


@kind("a CSV file without a byte", Refused("ingest", ("FILE", "empty", "get the file anew")))
def _(day: Day) -> Spoilt:
    return File(".csv", b"")


@kind("a Parquet file without a byte", Refused("ingest", ("FILE", "not a Parquet file", "get the file anew")))
def _(day: Day) -> Spoilt:
    return File(".parquet", b"")


@kind("a Parquet file is cut off", Refused("ingest", ("FILE", "not a Parquet file", "get the file anew")))
def _(day: Day) -> Spoilt:
    content = parquet(day.rows).content
    return File(".parquet", content[: day.numbers.randrange(8, len(content) - 8)])


@kind("a Parquet file is damaged inside", Refused("ingest", ("FILE", "cannot be read", "get the file anew")))
def _(day: Day) -> Spoilt:
    content = bytearray(parquet(day.rows).content)
    content[4:200] = bytes(255 - byte for byte in content[4:200])
    return File(".parquet", bytes(content))


@kind("CSV in a file called .parquet", Refused("ingest", ("FILE", "not a Parquet file")))
def _(day: Day) -> Spoilt:
    return File(".parquet", csv(day.rows).content)


@kind("Parquet in a file called .csv", Refused("ingest", ("FILE", "not readable as UTF-8 text")))
def _(day: Day) -> Spoilt:
    return File(".csv", parquet(day.rows).content)


@kind("a .gz file is cut off", Refused("ingest", ("FILE", "cannot be read", "get the file anew")))
def _(day: Day) -> Spoilt:
    content = gz(csv(pd.concat([day.rows] * 100))).content
    return File(".csv.gz", content[: len(content) // 2])


@kind("a .gz file is cut off within its header", Refused("ingest", ("FILE", "get the file anew")))
def _(day: Day) -> Spoilt:
    return File(".csv.gz", gz(csv(day.rows)).content[:30])


@kind("a .gz file is damaged inside", Refused("ingest", ("FILE", "get the file anew")))
def _(day: Day) -> Spoilt:
    content = bytearray(gz(csv(day.rows)).content)
    content[12:60] = bytes(48)
    return File(".csv.gz", bytes(content))


@kind("plain text in a file called .gz", Refused("ingest", ("FILE", "Not a gzipped file")))
def _(day: Day) -> Spoilt:
    return File(".csv.gz", csv(day.rows).content)


@kind("text in UTF-16", Refused("ingest", ("FILE", "not readable as UTF-8 text")))
def _(day: Day) -> Spoilt:
    return File(".csv", day.rows.to_csv(index=False).encode("utf-16"))


@kind("text in Latin-1", Refused("ingest", ("FILE", "not readable as UTF-8 text")))
def _(day: Day) -> Spoilt:
    return File(
        ".csv",
        day.with_text("uid", dict.fromkeys(day.some(), "Jörgen")).to_csv(index=False).encode("latin-1"),
    )


@kind("a label is a list", Refused("ingest", ("FILE", COLUMN, "list", "label")))
def _(day: Day) -> Spoilt:
    table = pa.Table.from_pandas(day.rows, preserve_index=False)
    lists = pa.array([[value] for value in day.rows["clicked"]])
    return parquet(table.set_column(table.schema.get_field_index("clicked"), "clicked", lists))


@kind("a label is a time", Refused("ingest", ("FILE", COLUMN, "timestamp", "label")))
def _(day: Day) -> Spoilt:
    return parquet(day.rows.assign(clicked=pd.to_datetime(day.rows["clicked"], unit="s", utc=True)))


@kind("an id is a structure", Refused("ingest", ("FILE", "'uid'", "struct", "id")))
def _(day: Day) -> Spoilt:
    return parquet(day.rows.assign(uid=[{"name": name} for name in day.rows["uid"]]))


@kind("the time is a boolean", Refused("ingest", ("FILE", "'at'", "bool", "time")))
def _(day: Day) -> Spoilt:
    return parquet(day.rows.assign(at=True))


@kind("a quote is not closed", Refused("ingest", ("FILE row", "quote that is not closed", "close or double")))
def _(day: Day) -> Spoilt:
    lines = day.text().to_csv(index=False).splitlines(keepends=True)
    lines[30] = '"' + lines[30]
    return File(".csv", "".join(lines).encode())


@kind(
    "a quote is closed rows later",
    Refused("ingest", ("FILE row", "quote that is not closed", "close or double")),
)
def _(day: Day) -> Spoilt:
    frame = day.with_text("page", {20: "OPEN", 40: "SHUT"})
    text = frame.to_csv(index=False).replace("OPEN", '"home').replace("SHUT", 'home"')
    return File(".csv", text.encode())


AS_IT_IS = "columns that no mapping names are left alone"


@kind("a column more", Handled(AS_IT_IS))
def _(day: Day) -> Spoilt:
    return csv(day.rows.assign(note="nobody asked")), day.rows


@kind("a column more with line breaks and commas in quotes", Handled(AS_IT_IS))
def _(day: Day) -> Spoilt:
    return csv(day.rows.assign(note='two\nlines, and "quotes"')), day.rows


@kind("columns in another order", Handled("columns go by their names"))
def _(day: Day) -> Spoilt:
    return csv(day.rows[sorted(day.rows.columns)]), day.rows


@kind("a byte order mark", Handled("a byte order mark is no part of the first column's name"))
def _(day: Day) -> Spoilt:
    return File(".csv", b"\xef\xbb\xbf" + csv(day.rows).content), day.rows


LINES = "lines end with LF, CRLF, or with both in one file"


@kind("lines that end with CRLF", Handled(LINES))
def _(day: Day) -> Spoilt:
    frame = day.rows[[*day.rows.columns.drop("page"), "page"]]
    return csv(frame, lineterminator="\r\n"), day.rows


@kind("lines that end with LF and CRLF by turns", Handled(LINES))
def _(day: Day) -> Spoilt:
    frame = day.rows[[*day.rows.columns.drop("page"), "page"]]
    lines = frame.to_csv(index=False).splitlines()
    text = "".join(line + ("\r\n" if number % 2 else "\n") for number, line in enumerate(lines))
    return File(".csv", text.encode()), day.rows


@kind("blank lines, and none after the last row", Handled("blank lines are no rows"))
def _(day: Day) -> Spoilt:
    return File(".csv", csv(day.rows).content.replace(b"\n", b"\n\n").rstrip(b"\n")), day.rows


@kind("every field in quotes", Handled("fields may be quoted, and quotes within them are doubled"))
def _(day: Day) -> Spoilt:
    rows = day.rows.assign(uid=day.rows["uid"] + ' "the 2nd", esq.')
    return csv(rows, quoting=1), rows


@kind(
    "a file that was cut off in a row",
    Handled(
        "a row with another number of fields than the header is quarantined",
        quarantined=1,
        reason="the row has another number of fields than its header",
    ),
)
def _(day: Day) -> Spoilt:
    content = csv(day.rows).content.rstrip(b"\n")
    return File(".csv", content[: content.rindex(b",") - 3]), day.rows.iloc[:-1]


@kind(
    "rows with a field too many",
    Handled(
        "a row with another number of fields than the header is quarantined",
        quarantined=2,
        reason="the row has another number of fields than its header",
    ),
)
def _(day: Day) -> Spoilt:
    spoilt = day.some()
    lines = csv(day.rows).content.decode().splitlines()
    for row in spoilt:
        lines[row + 1] += ",more"
    return File(".csv", "\n".join(lines).encode()), day.rows.drop(index=spoilt)


@kind("tabs, compressed", Handled("CSV (commas) and .tsv (tabs), either with .gz, and Parquet are read"))
def _(day: Day) -> Spoilt:
    return gz(csv(day.rows, suffix=".tsv", sep="\t")), day.rows


@kind(
    "several members in one .gz file",
    Handled("CSV (commas) and .tsv (tabs), either with .gz, and Parquet are read"),
)
def _(day: Day) -> Spoilt:
    content = csv(day.rows).content
    return File(".csv.gz", gzip.compress(content[:900]) + gzip.compress(content[900:])), day.rows
