"""The embedded backend: an SQLite table for each generation of an entity, with a column for each view."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from features.stores.errors import StoreError, StoreUnavailableError
from features.stores.packed.backend import KnownShapes, Read
from features.stores.packed.pointer import Pointer
from features.stores.packed.schema import ViewSchema
from features.stores.packed.shapes import ID_BYTES, Shape
from features.stores.packed.unpack import ViewRows, unpack
from features.stores.packed.witness import Census
from features.stores.sql import listed, quoted

_KEYS_A_QUERY = 10_000  # SQLite takes 32,766 parameters at most
_ROWS_A_TRANSACTION = 20_000
_WRITE_TIMEOUT = 30.0  # seconds to wait for other writers; a reader waits for nobody
_TIME = f"{ID_BYTES + 1}, 16"  # where (event, created) stands in a value, in SQL's counting
_SCHEMA = """
CREATE TABLE IF NOT EXISTS {pointer} (id INTEGER PRIMARY KEY CHECK (id = 1), text BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS {shapes} (id BLOB PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
"""


class SqliteBackend:
    """One database file; a reader is not held up by a writer.

    Args:
        path: the file.
        project: Feast's project; its tables begin with it.
    """

    def __init__(self, path: Path, project: str) -> None:
        self._path = path
        self._project = project
        self._pointer = quoted(f"{project} pointer")
        self._shapes_table = quoted(f"{project} shapes")
        self._local = threading.local()
        self._seen: tuple[bytes | None, Pointer] = (None, Pointer())
        self._shapes = KnownShapes(self._load_shapes, self._save_shapes)

    def pointer(self) -> bytes | None:
        with self._connected() as connection:
            return self._read_pointer(connection)

    def replace_pointer(self, old: bytes | None, new: bytes) -> bool:
        with self._transaction() as connection:
            if self._read_pointer(connection) != old:
                return False
            connection.execute(f"INSERT OR REPLACE INTO {self._pointer} VALUES (1, ?)", [new])
        return True

    def make_room(self, schemas: Iterable[ViewSchema], generation: int) -> None:
        with self._transaction() as connection:
            for schema in schemas:
                table = self._table(schema.entity, generation)
                connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (key BLOB PRIMARY KEY) WITHOUT ROWID")
                if schema.name not in self._columns(connection, schema.entity, generation):
                    connection.execute(f"ALTER TABLE {table} ADD COLUMN {quoted(schema.name)} BLOB")

    def write(self, schema: ViewSchema, generation: int, keys: list[bytes], rows: list[bytes]) -> None:
        self._shapes.add([Shape((schema,))])
        view = quoted(schema.name)
        query = (
            f"INSERT INTO {self._table(schema.entity, generation)} (key, {view}) VALUES (?, ?) "
            f"ON CONFLICT (key) DO UPDATE SET {view} = excluded.{view} WHERE {view} IS NULL "
            f"OR substr(excluded.{view}, {_TIME}) >= substr({view}, {_TIME})"
        )
        for start in range(0, len(keys), _ROWS_A_TRANSACTION):
            some = slice(start, start + _ROWS_A_TRANSACTION)
            with self._transaction() as connection:
                connection.executemany(query, zip(keys[some], rows[some], strict=True))

    def read(self, reads: Sequence[Read]) -> tuple[bytes | None, list[list[ViewRows]]]:
        with self._connected() as connection:
            _require_whole_pages(self._path)  # it may have been cut off since it was opened
            connection.execute("BEGIN")  # the pointer and all rows are of one instant
            try:
                text = self._read_pointer(connection)
                pointer = self._parsed(text)
                found = [self._find(connection, read, pointer.read(read.schemas[0].entity)) for read in reads]
            finally:
                connection.execute("ROLLBACK")
        return text, [
            [
                unpack(values, [schema], self._shapes.find)[0]
                for schema, values in zip(read.schemas, columns, strict=True)
            ]
            for read, columns in zip(reads, found, strict=True)
        ]

    def drop_view(self, entity: str, view: str) -> None:
        with self._transaction() as connection:
            for owner, generation in self._generations(connection):
                if owner == entity and view in self._columns(connection, entity, generation):
                    table = self._table(entity, generation)
                    connection.execute(f"UPDATE {table} SET {quoted(view)} = NULL")

    def generations(self) -> set[tuple[str, int]]:
        with self._connected() as connection:
            return self._generations(connection)

    def drop_generation(self, entity: str, generation: int) -> None:
        with self._transaction() as connection:
            connection.execute(f"DROP TABLE IF EXISTS {self._table(entity, generation)}")

    def count(self, entity: str, generation: int) -> int:
        return 0  # a file loses rows only by being damaged, which reading it tells

    def census(self) -> Census:
        return Census()

    def clear(self) -> None:
        """Close this thread's connection and remove the file."""
        known = self._connections().pop(os.getpid(), None)
        if known is not None:
            known.close()
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _find(self, connection: sqlite3.Connection, read: Read, generation: int) -> list[list[bytes | None]]:
        """For each view of `read` the value of each key."""
        names = listed(quoted(schema.name) for schema in read.schemas)
        table = self._table(read.schemas[0].entity, generation)
        rows: list[tuple[Any, ...]] = []
        for start in range(0, len(read.keys), _KEYS_A_QUERY):
            asked = read.keys[start : start + _KEYS_A_QUERY]
            marks = ",".join("?" * len(asked))
            query = f"SELECT key, {names} FROM {table} WHERE key IN ({marks})"
            rows += connection.execute(query, asked).fetchall()
        place = {row[0]: number for number, row in enumerate(rows)}
        rows.append((None,) * (1 + len(read.schemas)))  # stands for every key that was not found
        order = [place.get(key, -1) for key in read.keys]
        return [[column[number] for number in order] for column in list(zip(*rows, strict=True))[1:]]

    def _read_pointer(self, connection: sqlite3.Connection) -> bytes | None:
        row = connection.execute(f"SELECT text FROM {self._pointer}").fetchone()
        return None if row is None else bytes(row[0])

    def _parsed(self, text: bytes | None) -> Pointer:
        """The pointer, parsed when its text is not the one seen last."""
        if self._seen[0] != text:
            self._seen = (text, Pointer.parse(text))
        return self._seen[1]

    def _load_shapes(self) -> list[str]:
        with self._connected() as connection:
            return [text for (text,) in connection.execute(f"SELECT text FROM {self._shapes_table}")]

    def _save_shapes(self, shapes: Sequence[Shape]) -> None:
        rows = [(shape.id, shape.text) for shape in shapes]
        with self._transaction() as connection:
            connection.executemany(f"INSERT OR IGNORE INTO {self._shapes_table} VALUES (?, ?)", rows)

    def _table(self, entity: str, generation: int) -> str:
        return quoted(f"{self._project} rows {generation} {entity}")

    def _generations(self, connection: sqlite3.Connection) -> set[tuple[str, int]]:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        own = f"{self._project} rows "
        named = [name.removeprefix(own) for (name,) in tables if name.startswith(own)]
        return {(entity, int(number)) for number, _, entity in (name.partition(" ") for name in named)}

    def _columns(self, connection: sqlite3.Connection, entity: str, generation: int) -> set[str]:
        rows = connection.execute(f"PRAGMA table_info({self._table(entity, generation)})")
        return {name for _, name, *_ in rows}

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, one writer at a time."""
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """This thread's connection.

        Raises:
            StoreError: a view has no place in the database yet.
            StoreUnavailableError: the database cannot be read, or another writer holds it for too long.
        """
        try:
            known = self._connections()
            if os.getpid() not in known:
                known[os.getpid()] = self._connect()
            yield known[os.getpid()]
        except sqlite3.OperationalError as error:
            if str(error).startswith("no such"):
                raise StoreError(
                    f"{self._path}: {error}; register the views with `feast apply` or `gatehouse materialize`"
                ) from error
            raise StoreUnavailableError(f"the online store {self._path} does not answer: {error}") from error
        except sqlite3.DatabaseError as error:
            raise StoreUnavailableError(
                f"the online store {self._path} is damaged: {error}; "
                "remove it and run `gatehouse materialize`"
            ) from error

    def _connections(self) -> dict[int, sqlite3.Connection]:
        """This thread's connections, by process: one that came through a fork is never touched again."""
        known: dict[int, sqlite3.Connection] = self._local.__dict__.setdefault("by_process", {})
        return known

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        _require_whole_pages(self._path)
        options: dict[str, Any] = {"isolation_level": None, "cached_statements": 256}
        connection: sqlite3.Connection = sqlite3.connect(self._path, timeout=_WRITE_TIMEOUT, **options)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA mmap_size = 1073741824")
        connection.executescript(_SCHEMA.format(pointer=self._pointer, shapes=self._shapes_table))
        return connection


def _require_whole_pages(path: Path) -> None:
    """Refuse a database that ends within a page; SQLite reads what is missing of it as zeros, or as no rows.

    Raises:
        sqlite3.DatabaseError: it does. https://www.sqlite.org/fileformat.html#the_database_header
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            header = stream.read(18)
    except FileNotFoundError:
        return
    page = int.from_bytes(header[16:], "big")
    if size and size % (65_536 if page == 1 else page or size + 1):
        raise sqlite3.DatabaseError("it ends within a page, so it was cut off")
