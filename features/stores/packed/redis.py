"""The Redis or Valkey backend, one server or a cluster: a string for each key of an entity."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from features.stores.errors import StoreError, StoreUnavailableError
from features.stores.packed.backend import KnownShapes, Read
from features.stores.packed.pointer import Pointer
from features.stores.packed.schema import ViewSchema
from features.stores.packed.shapes import ID_BYTES, Shape
from features.stores.packed.unpack import ViewRows, unpack
from features.stores.packed.witness import Census

_NEWEST = Path(__file__).with_name("newest.lua").read_text(encoding="utf-8")
_SWAP = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2]) end
return 1
"""
_ROWS_A_CALL = 250  # a script runs alone; so many rows keep readers waiting for about a millisecond
_CALLS_A_TRIP = 16
_KEYS_A_SCAN = 5_000
_RECORDS = 3  # the pointer, the shapes and the prefixes
_DIGEST = 5  # characters; make_room sees to it that no two entities have the same
_WRITE_TIMEOUT = 30.0
_TRIES = 5  # a pointer may move on while rows are read


class RedisBackend:
    """Keys are a short prefix and the key's ids; PROJECT:prefixes tells whose each prefix is.

    Beside them there are PROJECT:pointer and PROJECT:shapes.

    Args:
        url: for example redis://localhost:6379/0; of any node of a cluster.
        cluster: whether it is one.
        project: Feast's project.
        timeout: seconds to wait for an answer to a read.
    """

    def __init__(self, url: str, *, cluster: bool, project: str, timeout: float) -> None:
        self._project = project.encode()
        self._cluster = cluster
        never = Retry(NoBackoff(), 0)
        with _answering():
            self._reader: Any = _client(url, cluster, timeout, never)
            self._writer: Any = _client(url, cluster, _WRITE_TIMEOUT, None)
        self._pointer_key = b"%b:pointer" % self._project
        self._shapes = KnownShapes(self._load_shapes, self._save_shapes)
        self._seen: tuple[bytes | None, Pointer] = (None, Pointer())
        self._digests: dict[str, str] = {}
        self._prefixes: dict[tuple[str, int], bytes] = {}

    def pointer(self) -> bytes | None:
        with _answering():
            return _bytes(self._reader.get(self._pointer_key))

    def replace_pointer(self, old: bytes | None, new: bytes) -> bool:
        with _answering():
            return bool(self._writer.eval(_SWAP, 1, self._pointer_key, old or b"", new))

    def make_room(self, schemas: Iterable[ViewSchema], generation: int) -> None:
        for entity in {schema.entity for schema in schemas}:
            prefix, owner = self._prefix(entity, generation), f"{entity}:{generation}".encode()
            with _answering():
                self._writer.hsetnx(self._name("prefixes"), prefix, owner)
                known = self._writer.hget(self._name("prefixes"), prefix)
            if known != owner:
                raise StoreError(
                    f"keys of {entity} would begin with {prefix.decode()}, as those of {known!r} do; "
                    "name the project or the entity otherwise"
                )

    def write(self, schema: ViewSchema, generation: int, keys: list[bytes], rows: list[bytes]) -> None:
        prefix = self._prefix(schema.entity, generation)
        left = [(prefix + key, row) for key, row in zip(keys, rows, strict=True)]
        with _answering():
            while left:
                left = self._write(schema, left)

    def read(self, reads: Sequence[Read]) -> tuple[bytes | None, list[list[ViewRows]]]:
        text, pointer = self._seen
        for _ in range(_TRIES):
            asked = [self._pointer_key]
            for read in reads:
                prefix = self._prefix(read.schemas[0].entity, pointer.read(read.schemas[0].entity))
                asked += [prefix + key for key in read.keys]
            with _answering():
                now, *values = self._mget(asked)
            if now == text and not (self._cluster and None in values and self.pointer() != now):
                break  # in a cluster the pointer and the rows are not of one instant
            # The rows may be of a generation that is not read any more.
            text, pointer = self._seen = (now, Pointer.parse(now))
        else:
            raise StoreUnavailableError("the online store's pointer changes faster than rows can be read")
        rows, start = [], 0
        for read in reads:
            end = start + len(read.keys)
            rows.append(unpack(values[start:end], read.schemas, self._find))
            start = end
        return text, rows

    def drop_view(self, entity: str, view: str) -> None:
        """Read every value of the entity and write it again without the view."""
        with _answering():
            for owner, generation in self.generations():
                if owner != entity:
                    continue
                for keys in self._scan(entity, generation):
                    while keys:  # those that were written to meanwhile are left
                        keys = self._cut(keys, view)

    def generations(self) -> set[tuple[str, int]]:
        with _answering():
            owners = self._writer.hvals(self._name("prefixes"))
        named = (owner.decode().rpartition(":") for owner in owners)
        return {(entity, int(number)) for entity, _, number in named}

    def drop_generation(self, entity: str, generation: int) -> None:
        with _answering():
            for keys in self._scan(entity, generation):
                pipe = self._writer.pipeline(transaction=False)
                for key in keys:
                    pipe.unlink(key)
                pipe.execute()
            self._writer.hdel(self._name("prefixes"), self._prefix(entity, generation))

    def count(self, entity: str, generation: int) -> int:
        with _answering():
            # While the server's table grows, a scan may meet a key twice; hashes are smaller than keys.
            return len({hash(key) for keys in self._scan(entity, generation) for key in keys})

    def census(self) -> Census:
        keys, evicted = -_RECORDS, {}
        with _answering():
            for server in self._servers():
                told = self._reader.info("server", **server) | self._reader.info("stats", **server)
                keys += self._reader.dbsize(**server)
                evicted[told["run_id"]] = told["evicted_keys"]
        return Census(max(keys, 0), evicted)

    def clear(self) -> None:
        for entity, generation in self.generations():
            self.drop_generation(entity, generation)
        with _answering():
            for key in (self._pointer_key, self._name("shapes"), self._name("prefixes")):
                self._writer.delete(key)

    def _write(self, schema: ViewSchema, rows: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Write rows; those whose values are of shapes that were not known here are left and come back."""
        splices = self._splices(schema)
        batches = self._batches(rows)
        left = []
        for start in range(0, len(batches), _CALLS_A_TRIP):
            trip = batches[start : start + _CALLS_A_TRIP]
            for batch, unknown in zip(trip, self._call(splices, trip), strict=True):
                left += [batch[number - 1] for number in unknown]
        if left:
            self._shapes.refresh()
            known = {shape.id for shape in self._shapes.of_entity(schema.entity)}
            left = self._without_strangers(left, known)
        return left

    def _without_strangers(
        self, rows: list[tuple[bytes, bytes]], known: set[bytes]
    ) -> list[tuple[bytes, bytes]]:
        """Delete values that nobody can read, for their shape is in no table; their rows are written anew."""
        values = self._mget([key for key, _ in rows])
        for (key, _), value in zip(rows, values, strict=True):
            if value is not None and value[:ID_BYTES] not in known:
                self._writer.delete(key)
        return rows

    def _call(self, splices: bytes, batches: list[list[tuple[bytes, bytes]]]) -> list[list[int]]:
        """Run the script on each batch; for each the numbers of the keys it left alone."""
        while True:
            pipe = self._writer.pipeline(transaction=False)
            digest = self._digest(_NEWEST)
            for batch in batches:
                keys, rows = zip(*batch, strict=True)
                pipe.execute_command("EVALSHA", digest, len(keys), *keys, splices, *rows)
            try:
                return list(pipe.execute())
            except NoScriptError:
                self._digests.clear()  # the server was restarted, or a failover came

    def _digest(self, script: str) -> str:
        if script not in self._digests:
            self._digests[script] = self._writer.script_load(script)
        return self._digests[script]

    def _batches(self, rows: list[tuple[bytes, bytes]]) -> list[list[tuple[bytes, bytes]]]:
        """Rows for one call each; in a cluster those of a call are of one slot."""
        if not self._cluster:
            return [rows[start : start + _ROWS_A_CALL] for start in range(0, len(rows), _ROWS_A_CALL)]
        by_slot: dict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
        for row in rows:
            by_slot[key_slot(row[0])].append(row)
        return list(by_slot.values())

    def _splices(self, schema: ViewSchema) -> bytes:
        """For newest.lua: what becomes of a value of each shape when a row of `schema` is put in."""
        alone = Shape((schema,))
        shapes = [*self._shapes.of_entity(schema.entity), alone]
        shapes += [shape.having(schema) for shape in shapes]
        self._shapes.add(shapes)
        table: dict[str, Any] = {shape.id.hex(): _splice(shape, schema) for shape in shapes}
        table["fixed"] = schema.fixed.itemsize
        return json.dumps(table).encode()

    def _cut(self, keys: list[bytes], view: str) -> list[bytes]:
        """Take the view out of values; those that changed meanwhile are left as they are and come back."""
        cut = []
        for key, value in zip(keys, self._mget(keys), strict=True):
            shape = self._find(value[:ID_BYTES]) if value else None
            if value is not None and shape is not None and shape.place(view) is not None:
                cut.append((key, value, self._without(shape, value, view)))
        pipe = self._writer.pipeline(transaction=False)
        for key, value, rest in cut:
            pipe.execute_command("EVAL", _SWAP, 1, key, value, rest)
        return [key for (key, _, _), swapped in zip(cut, pipe.execute(), strict=True) if not swapped]

    def _without(self, shape: Shape, value: bytes, view: str) -> bytes:
        """The value without a view that it has; empty when it has no other."""
        rest = Shape(tuple(other for other in shape.views if other.name != view))
        if not rest.views:
            return b""
        self._shapes.add([rest])
        splice = _splice(shape, next(own for own in shape.views if own.name == view))
        at, ends = splice["at"] - 1, splice["ends"]
        before = sum(_u4(value, position) for position in splice["before"])
        own = _u4(value, splice["own"]) if splice["own"] else 0
        fixed = value[ID_BYTES:at] + value[at + splice["size"] : ends]
        return rest.id + fixed + value[ends : ends + before] + value[ends + before + own :]

    def _scan(self, entity: str, generation: int) -> Iterator[list[bytes]]:
        """Keys of a generation, some thousand at a time."""
        pattern = self._prefix(entity, generation) + b"*"
        some: list[bytes] = []
        for key in self._writer.scan_iter(match=pattern, count=_KEYS_A_SCAN):
            some.append(key)
            if len(some) == _KEYS_A_SCAN:
                yield some
                some = []
        if some:
            yield some

    def _mget(self, keys: list[bytes]) -> list[bytes | None]:
        values = self._reader.mget_nonatomic(keys) if self._cluster else self._reader.mget(keys)
        return list(values)

    def _find(self, id_: bytes) -> Shape | None:
        with _answering():
            return self._shapes.find(id_)

    def _servers(self) -> list[dict[str, Any]]:
        """For each server, of a cluster each primary, the arguments that send a command there."""
        return [{"target_nodes": node} for node in self._reader.get_primaries()] if self._cluster else [{}]

    def _load_shapes(self) -> list[str]:
        return [text.decode() for text in self._reader.hvals(self._name("shapes"))]

    def _save_shapes(self, shapes: Sequence[Shape]) -> None:
        self._writer.hset(self._name("shapes"), mapping={shape.id: shape.text for shape in shapes})

    def _prefix(self, entity: str, generation: int) -> bytes:
        """What the keys of a generation begin with: short, for a million keys have it."""
        known = self._prefixes.get((entity, generation))
        if known is None:
            digest = hashlib.sha256(b"%b/%b" % (self._project, entity.encode())).digest()
            known = b"%b%d:" % (base64.urlsafe_b64encode(digest)[:_DIGEST], generation)
            self._prefixes[entity, generation] = known
        return known

    def _name(self, what: str) -> bytes:
        return b"%b:%b" % (self._project, what.encode())


def _splice(shape: Shape, schema: ViewSchema) -> dict[str, Any]:
    """Where a row of `schema` goes in a value of `shape`; places count from 1, as Lua does.

    `at` and `size` are the fixed part that gives way, `ends` the end of the fixed parts, `before` and `own`
    where the lengths of the tails before the view's and of its own stand (0 when it has none).
    """
    place = shape.place(schema.name)
    earlier = [number for number, view in enumerate(shape.views) if view.name < schema.name]
    if place is None:
        at, size, own = shape.offsets[len(earlier)], 0, 0
    else:
        old = shape.views[place]
        at, size = shape.offsets[place], old.fixed.itemsize
        own = at + _tail_at(old) + 1 if old.pieces else 0
    before = [
        shape.offsets[number] + _tail_at(shape.views[number]) + 1
        for number in earlier
        if shape.views[number].pieces
    ]
    return {
        "at": at + 1, "size": size, "ends": shape.size, "before": before, "own": own,
        "to": shape.having(schema).id.hex(),
    }  # fmt: skip


def _tail_at(schema: ViewSchema) -> int:
    fields = schema.fixed.fields
    return int(fields["tail"][1]) if fields else 0


def _u4(value: bytes, position: int) -> int:
    """The number at `position`, counted from 1."""
    return int.from_bytes(value[position - 1 : position + 3], "little")


def _client(url: str, cluster: bool, timeout: float, retry: Retry | None) -> Any:
    options: dict[str, Any] = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    if retry is not None:
        options["retry"] = retry
    return RedisCluster.from_url(url, **options) if cluster else Redis.from_url(url, **options)


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


@contextmanager
def _answering() -> Iterator[None]:
    """Raises `StoreUnavailableError` for whatever goes wrong between here and the server."""
    try:
        yield
    except RedisError as error:
        raise StoreUnavailableError(f"the online store does not answer: {error}") from error
