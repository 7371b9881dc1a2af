"""Ranking 500 items for a user: what each part costs, and what it saves to do the shared ones once.

    make bench-rank

One process, one thread, an SQLite store, KuaiRand's declarations, the networks of params.yaml with random
weights. "per row" encodes and scores whole columns, as training does; "once" is what `Ranker` does. Both must
give the same scores. Times are the processor's, so that other work on the machine counts less. Prints a
table and writes benchmarks/results/rank.json.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.rank_data import ITEMS, ranker_of, served_store, write_trained
from benchmarks.reporting import write_results
from pipelines.settings import CHECKOUT, Settings
from training.artifact import load_model
from training.data.encode import Encoded
from training.data.spec import EVENT_TIME
from training.models.build import available
from training.score import BATCH_SIZE, encoded_batches, score, score_rows

COUNT = 500
ASKED = {"scenario": "scenario1", "user": "user3"}
console = Console()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=100, help="requests timed of each kind")
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "params.yaml").write_bytes((CHECKOUT / "params.yaml").read_bytes())
        store, config = served_store(home), Settings(home=home).params.train
        figures = {}
        for name in available():
            write_trained(home / name, name, config)
            with console.status(f"ranking with {name}"):
                figures[name] = _measured(home / name, store, repeats)
    table = Table(f"p50, CPU ms, of {COUNT} items", *next(iter(figures.values())))
    for name, of_model in figures.items():
        table.add_row(name, *(f"{figure:.2f}" for figure in of_model.values()))
    console.print(table)
    ratios = {
        f"once_vs_per_row_{name}": (of["encode per row"] + of["score per row"]) / (of["encode"] + of["score"])
        for name, of in figures.items()
    }
    write_results("rank", {"p50, CPU ms": figures, "ratios": ratios}, ("torch", "numpy", "pyarrow"))


def _measured(folder: Path, store: object, repeats: int) -> dict[str, float]:
    ranker, (model, encoder) = ranker_of(folder, store), load_model(folder)
    random = np.random.default_rng(7)
    items = [f"item{number}" for number in random.choice(ITEMS, COUNT, replace=False)]
    batch = ranker.lookup.batch(**ASKED, items=items)
    instant = np.array([int(batch.instant.timestamp() * 1e6)])

    def encode() -> Encoded:
        return encoder.transform({**batch.distinct_columns(), EVENT_TIME: instant})

    def encode_per_row() -> Encoded:
        batch.__dict__.pop("columns", None)  # a request makes them anew
        return encoder.transform({**batch.columns, EVENT_TIME: instant.repeat(COUNT)})

    def score_per_row() -> object:
        return score(model, encoded_batches(per_row, torch.device("cpu"), BATCH_SIZE))

    once, per_row = encode(), encode_per_row()
    np.testing.assert_allclose(score_rows(model, once), score_per_row(), rtol=0, atol=1e-6)
    parts: dict[str, Callable[[], object]] = {
        "rank": lambda: ranker.rank(**ASKED, items=items),
        "look up": lambda: ranker.lookup.batch(**ASKED, items=items),
        "encode": encode,
        "score": lambda: score_rows(model, once),
        "encode per row": encode_per_row,
        "score per row": score_per_row,
    }
    return _medians(parts, repeats)


def _medians(parts: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median milliseconds of each part; the parts take turns, so that a busy machine is unfair to none."""
    taken: dict[str, list[float]] = {name: [] for name in parts}
    gc.collect()
    for _ in range(repeats + 3):
        for name, part in parts.items():
            begun = time.process_time()
            part()
            taken[name].append(1e3 * (time.process_time() - begun))
    return {name: float(np.median(times[3:])) for name, times in taken.items()}


if __name__ == "__main__":
    main()
