"""Every backend keeps the newest row of a view and a key, and shows one generation at a time."""

from __future__ import annotations

import multiprocessing
import random
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from features.declarations.features import DType
from features.stores.errors import StoreError
from features.stores.packed.backend import Backend, Read
from features.stores.packed.generations import begin, finish, sweep, withdraw
from features.stores.packed.keys import encode_key
from features.stores.packed.pointer import Pointer
from features.stores.packed.redis import RedisBackend
from features.stores.packed.schema import ViewSchema
from features.stores.packed.sqlite import SqliteBackend
from features.stores.packed.unpack import MISSING
from tests.features.stores.packed.backends import BACKENDS, backend_of
from tests.features.stores.packed.rows import packed, plain, row_of
from tests.valkeys import valkey

pytestmark = pytest.mark.redis

VIEWS = (
    ViewSchema("early", ("user_id",), (("clicks", DType.FLOAT), ("name", DType.STRING))),
    ViewSchema("late", ("user_id",), (("last", DType.INT), ("recent", DType.STRINGS))),
    ViewSchema("middle", ("user_id",), (("rate", DType.FLOAT),)),
)
PAIRS = ViewSchema("pairs", ("item_id", "user_id"), (("count", DType.INT),))
KEYS = ("a", "b", "c")
numbers = st.integers(-3, 3)


@pytest.fixture(scope="module", params=BACKENDS)
def shared(request: pytest.FixtureRequest) -> Iterator[Backend]:
    with tempfile.TemporaryDirectory() as folder, backend_of(request.param, Path(folder)) as backend:
        yield backend


@pytest.fixture
def backend(shared: Backend) -> Iterator[Backend]:
    _ready(shared)
    yield shared
    shared.clear()


def _ready(backend: Backend) -> None:
    backend.clear()
    backend.make_room([*VIEWS, PAIRS], 0)


def write(
    backend: Backend, view: ViewSchema, rows: dict[str, dict[str, Any]], event: int = 1, created: int = 1,
    generation: int = 0,
) -> None:  # fmt: skip
    values = packed(view, list(rows.values()), [(event, created)] * len(rows))
    backend.write(view, generation, [key.encode() for key in rows], values)


def found(backend: Backend, views: tuple[ViewSchema, ...], keys: tuple[str, ...] = KEYS) -> list[Any]:
    """For each view and key the row, None where there is none."""
    _, [rows] = backend.read([Read(views, [key.encode() for key in keys])])
    return [
        [row if event != MISSING else None for row, event in zip(plain(of_view), of_view.events, strict=True)]
        for of_view in rows
    ]


writes = st.lists(
    st.tuples(st.sampled_from(VIEWS), st.sampled_from(KEYS), numbers, numbers).flatmap(
        lambda write: st.tuples(*map(st.just, write), row_of(write[0]))
    ),
    max_size=12,
)


# What a query, a pattern, a path or a separator might take for its own.
HOSTILE = (
    "'; DROP TABLE early; --", '"', "*", "?", "[a-z]", "../..", "a:b", "1:a:", ":", "\n", "\0", "{a}", "$1",
    "%", "",
)  # fmt: skip
ids = st.sampled_from(HOSTILE) | st.text(max_size=4)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(ids, ids), unique=True, min_size=1, max_size=8))
def test_ids_of_any_characters_come_back_as_themselves_and_touch_no_other_row(
    shared: Backend, pairs: list[tuple[str, str]]
) -> None:
    _ready(shared)
    keys = tuple(encode_key(pair).decode() for pair in pairs)
    written, others = keys[::2], keys[1::2]
    write(shared, VIEWS[0], {"neighbour": {"clicks": 7.0, "name": "stays"}})
    write(shared, PAIRS, {key: {"count": place} for place, key in enumerate(written)})
    [rows] = found(shared, (PAIRS,), written)
    assert rows == [{"count": place} for place in range(len(written))]
    assert found(shared, (PAIRS,), others) == [[None] * len(others)]
    assert found(shared, (VIEWS[0],), (*keys, "neighbour"))[0][-1] == {"clicks": 7.0, "name": "stays"}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=writes)
def test_the_newest_row_of_each_view_is_kept_among_the_others(shared: Backend, writes: list[Any]) -> None:
    _ready(shared)
    newest: dict[tuple[str, str], tuple[tuple[int, int], dict[str, Any]]] = {}
    for view, key, event, created, row in writes:
        write(shared, view, {key: row}, event, created)
        best = newest.get((view.name, key))
        if best is None or (event, created) >= best[0]:
            newest[view.name, key] = ((event, created), row)
    expected = [[newest.get((view.name, key), (None, None))[1] for key in KEYS] for view in VIEWS]
    assert found(shared, VIEWS) == expected


def test_the_last_of_equals_in_a_batch_is_kept(backend: Backend) -> None:
    values = packed(PAIRS, [{"count": 1}, {"count": 2}, {"count": 3}], [(1, 1), (1, 1), (0, 9)])
    backend.write(PAIRS, 0, [b"k"] * 3, values)
    assert found(backend, (PAIRS,), ("k",)) == [[{"count": 2}]]


def test_the_newest_rows_are_kept_when_many_write_at_once(backend: Backend) -> None:
    """Eight writers put the same 1,500 versions in, each in an order of its own and in batches."""
    versions = [(view, key, time) for view in VIEWS[:2] for key in map(str, range(50)) for time in range(15)]

    def put(seed: int) -> None:
        mine = random.Random(seed).sample(versions, len(versions))
        for view in VIEWS[:2]:
            own = [(key, time) for of, key, time in mine if of is view]
            rows = packed(
                view, [_row(view, time) for _, time in own], [(time // 3, time % 3) for _, time in own]
            )
            for start in range(0, len(own), 60):
                some = slice(start, start + 60)
                backend.write(view, 0, [key.encode() for key, _ in own[some]], rows[some])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(8)))
    keys = tuple(map(str, range(50)))
    assert found(backend, VIEWS[:2], keys) == [[_row(view, 14)] * 50 for view in VIEWS[:2]]


def _row(view: ViewSchema, number: int) -> dict[str, Any]:
    of_kind = {DType.FLOAT: float(number), DType.INT: number, DType.STRING: "x" * number}
    return {name: of_kind.get(kind, ["y"] * number) for name, kind in view.features}


def test_all_keys_are_found_when_there_are_more_than_one_query_takes(backend: Backend) -> None:
    keys = tuple(map(str, range(33_000)))
    write(backend, VIEWS[2], {key: {"rate": float(key)} for key in keys})
    assert found(backend, VIEWS[2:], keys) == [[{"rate": float(key)} for key in keys]]


def test_a_generation_is_seen_whole_or_not_at_all(backend: Backend) -> None:
    write(backend, VIEWS[0], {"a": _row(VIEWS[0], 1), "b": _row(VIEWS[0], 1)}, event=9)
    build = begin(backend, VIEWS, {"day": "two"})
    write(backend, VIEWS[0], {"a": _row(VIEWS[0], 2)}, generation=build.generation)
    assert found(backend, VIEWS[:1]) == [[_row(VIEWS[0], 1), _row(VIEWS[0], 1), None]]
    finish(backend, build, ["user_id"], {"day": "two"})
    assert found(backend, VIEWS[:1]) == [[_row(VIEWS[0], 2), None, None]]
    pointer = Pointer.parse(backend.pointer())
    assert (pointer.served, pointer.building) == ({"day": "two"}, None)
    assert backend.generations() == {("user_id", build.generation), ("item_id+user_id", 0)}
    withdraw(backend)
    assert Pointer.parse(backend.pointer()).served is None


def test_what_a_killed_run_wrote_is_removed_by_the_next(backend: Backend) -> None:
    killed = begin(backend, VIEWS, {"day": "one"})
    write(backend, VIEWS[0], {"a": _row(VIEWS[0], 1)}, generation=killed.generation)
    build = begin(backend, VIEWS, {"day": "one"})
    assert killed.generation not in {number for _, number in backend.generations()}
    with pytest.raises(StoreError, match="another run began"):
        finish(backend, killed, ["user_id"], {"day": "one"})
    finish(backend, build, ["user_id"], {"day": "one"})
    sweep(backend)
    assert found(backend, VIEWS[:1]) == [[None, None, None]]


def test_a_dropped_view_leaves_the_others(backend: Backend) -> None:
    for view in VIEWS:
        write(backend, view, {"a": _row(view, 2), "b": _row(view, 1)})
    write(backend, VIEWS[1], {"c": _row(VIEWS[1], 3)})
    backend.drop_view("user_id", "late")
    assert found(backend, VIEWS) == [
        [_row(VIEWS[0], 2), _row(VIEWS[0], 1), None],
        [None, None, None],
        [_row(VIEWS[2], 2), _row(VIEWS[2], 1), None],
    ]


def test_rows_of_two_schemas_of_a_view_lie_side_by_side(backend: Backend) -> None:
    old = ViewSchema("early", ("user_id",), (("clicks", DType.FLOAT),))
    write(backend, old, {"a": {"clicks": 1.0}, "b": {"clicks": 2.0}})
    write(backend, VIEWS[2], {"a": {"rate": 0.5}})
    write(backend, VIEWS[0], {"a": _row(VIEWS[0], 3)}, event=2)
    assert found(backend, VIEWS[::2]) == [
        [_row(VIEWS[0], 3), {"clicks": 2.0, "name": None}, None],
        [{"rate": 0.5}, None, None],
    ]


def test_a_forked_process_reads_and_writes_by_a_connection_of_its_own(backend: Backend) -> None:
    write(backend, VIEWS[2], {"a": {"rate": 1.0}})
    assert found(backend, VIEWS[2:]) == [[{"rate": 1.0}, None, None]]

    def child() -> None:
        assert found(backend, VIEWS[2:]) == [[{"rate": 1.0}, None, None]]
        write(backend, VIEWS[2], {"b": {"rate": 2.0}})

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert found(backend, VIEWS[2:]) == [[{"rate": 1.0}, {"rate": 2.0}, None]]


def test_a_dropped_view_takes_no_row_with_it_that_is_written_meanwhile(backend: Backend) -> None:
    keys = [str(number) for number in range(40)]

    def rewrite() -> None:
        for number in range(30):
            write(backend, VIEWS[0], dict.fromkeys(keys, _row(VIEWS[0], number)), event=number)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(rewrite)
        while not writing.done():
            write(backend, VIEWS[1], dict.fromkeys(keys, _row(VIEWS[1], 1)))
            backend.drop_view("user_id", "late")
        writing.result()
    assert found(backend, VIEWS[:2], tuple(keys)) == [[_row(VIEWS[0], 29)] * 40, [None] * 40]


def test_finishing_twice_is_finishing_once(backend: Backend) -> None:
    """The answer to a first attempt may be lost on its way."""
    build = begin(backend, VIEWS, {})
    finish(backend, build, ["user_id"], {"day": "one"})
    finish(backend, build, ["user_id"], {"day": "one"})
    assert Pointer.parse(backend.pointer()).read("user_id") == build.generation


def test_everybody_reads_what_is_written_after_the_store_was_emptied() -> None:
    with valkey() as url:
        writer, reader = (RedisBackend(url, cluster=False, project="test", timeout=5.0) for _ in range(2))
        writer.make_room(VIEWS, 0)
        write(writer, VIEWS[0], {"a": _row(VIEWS[0], 1)})
        Redis.from_url(url).flushall()
        write(writer, VIEWS[0], {"a": _row(VIEWS[0], 2)})
        assert found(reader, VIEWS[:1], ("a",)) == [[_row(VIEWS[0], 2)]]


def test_two_projects_share_a_file(tmp_path: Path) -> None:
    one, other = (SqliteBackend(tmp_path / "online.db", project) for project in ("one", "other"))
    for number, backend in enumerate((one, other), start=1):
        backend.make_room(VIEWS, 0)
        write(backend, VIEWS[0], {"a": _row(VIEWS[0], number)})
    assert one.generations() == other.generations() == {("user_id", 0)}
    assert found(one, VIEWS[:1], ("a",)) == [[_row(VIEWS[0], 1)]]
    assert found(other, VIEWS[:1], ("a",)) == [[_row(VIEWS[0], 2)]]
