"""How fast models train, data path included, beside the same networks with the batch already in memory.

    make bench-train

Rows a second of the training loop at embedding 16, towers [128, 64, 32] and batches of 4096 rows: on
KuaiRand-Pure where GATEHOUSE_HOME holds its encoded arrays, and on a simulated log of ten scenarios, with
one and with two threads. An MMoE fed otherwise, and single layers computed otherwise, stand beside.
torch-rechub is the extra `bench` of pyproject.toml; without it its ratio is left out. Prints a table and
writes benchmarks/results/train.json.

Ratios compare CPU time with one thread, so that other work on the machine counts on neither side.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmarks.reporting import write_results
from benchmarks.train_contenders import TORCH_RECHUB, RowDictSource, TorchRechub
from benchmarks.train_data import write_log
from benchmarks.train_gpu import on_a_gpu
from benchmarks.train_layers import layer_ratios
from benchmarks.train_optimizers import optimizer_figures
from benchmarks.train_speed import Figures, InMemory, Speed, in_turns, loop_speed, times_faster
from pipelines.settings import Settings
from training.config import TrainConfig
from training.data.arrays import EncodedArrays
from training.data.source import Source
from training.models.build import build

MODELS = ("shared_bottom", "mmoe", "ppnet", "pepnet", "m2m")
TURNS = {1: 5, 2: 3}  # by threads; ratios are those of one thread
STEPS, LOADER_TURNS = 2, 3
EXPERTS, TOWER = 4, [32]
CONFIG = TrainConfig(
    batch_size=4096,
    hidden=(128, 64, 32),
    embedding_dim=16,
    epochs=1,
    models={"ppnet": {"scenario_towers": True}},
)
CPU = torch.device("cpu")


def main() -> None:
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as name:
        logs = dict(_logs(Path(name)))
        speeds = {
            f"{log}, {threads} threads": _with_threads(
                threads, lambda arrays=arrays, turns=turns: _models(arrays, turns)
            )
            for log, arrays in logs.items()
            for threads, turns in TURNS.items()
        }
        loaders = _with_threads(1, lambda: _loaders(logs["simulated"]))
        layers = _with_threads(1, lambda: layer_ratios(next(iter(logs.values()))))
        optimizers = _with_threads(1, optimizer_figures)
        gpu = on_a_gpu(logs["simulated"]) if torch.cuda.is_available() else "not measured"
    ratios = {**_in_memory_ratios(speeds), **_loader_ratios(loaders), **layers, **optimizers["ratios"]}
    notes = _notes()
    _report(speeds | {"loaders, simulated, 1 thread": loaders}, ratios, notes)
    write_results(
        "train",
        {
            "load before": load,
            "batch": CONFIG.batch_size,
            "rows a second": speeds,
            "loaders": loaders,
            "optimizers": optimizers["seconds"],
            "gpu": gpu,
            "notes": notes,
            "ratios": ratios,
        },
        packages=["torch", "numpy", *(["torch-rechub"] if TORCH_RECHUB else [])],
    )


def _logs(folder: Path) -> Iterator[tuple[str, EncodedArrays]]:
    encoded = sorted(Settings().home.glob("lake/kuairand-pure/encoded/*/ds=*"))
    if encoded:
        yield "kuairand-pure", EncodedArrays(encoded[-1])
    yield "simulated", write_log(folder / "log", scenarios=10)


def _with_threads(threads: int, measure: Callable[[], Any]) -> Any:
    torch.set_num_threads(threads)
    return measure()


def _models(arrays: EncodedArrays, turns: int) -> Figures:
    """Every model's speed from the arrays, and from a batch in memory."""
    figures: Figures = {}
    for name in MODELS:
        model = _fresh(name, arrays)
        figures |= in_turns(
            {
                name: lambda model=model: _speed(model, arrays),
                f"{name}, in memory": lambda model=model: _speed(model, InMemory(arrays)),
            },
            turns,
        )
    return figures


def _loaders(arrays: EncodedArrays) -> Figures:
    """One MMoE fed in three ways."""
    model, dicts = _fresh("mmoe", arrays), RowDictSource(arrays)
    contenders = {
        "mmoe": lambda: _speed(model, arrays),
        "mmoe, a dictionary a row": lambda: _speed(model, dicts, steps=2),
    }
    if TORCH_RECHUB:
        rechub = TorchRechub(arrays, CONFIG, EXPERTS, TOWER)
        contenders["torch-rechub's mmoe"] = lambda: rechub.speed(steps=2)
    return in_turns(contenders, LOADER_TURNS)


def _fresh(name: str, arrays: EncodedArrays) -> nn.Module:
    torch.manual_seed(CONFIG.seed)
    return build(name, arrays.encoder.spec, CONFIG)


def _speed(model: nn.Module, source: Source, steps: int = STEPS) -> Speed:
    return loop_speed(model, source, CONFIG, CPU, steps=steps)


def _in_memory_ratios(speeds: dict[str, Figures]) -> dict[str, float]:
    """For each model the worst log's ratio, with one thread."""
    ratios: dict[str, float] = {}
    for where, figures in speeds.items():
        for name in MODELS if where.endswith(" 1 threads") else ():
            ratio = times_faster(figures, name, f"{name}, in memory")
            key = f"{name}_vs_in_memory"
            ratios[key] = min(ratio, ratios.get(key, ratio))
    return ratios


def _loader_ratios(loaders: Figures) -> dict[str, float]:
    contenders = {
        "mmoe_vs_torch_rechub": "torch-rechub's mmoe",
        "mmoe_vs_row_dictionaries": "mmoe, a dictionary a row",
    }
    return {
        ratio: times_faster(loaders, "mmoe", contender)
        for ratio, contender in contenders.items()
        if contender in loaders
    }


def _notes() -> list[str]:
    """What was left out, and why."""
    notes = []
    if not TORCH_RECHUB:
        notes.append("torch-rechub: not installed, pip install 'gatehouse[bench]' brings it")
    if not torch.cuda.is_available():
        notes.append("GPU (time waiting, bfloat16 against float32): not measured, there is none")
    return notes


def _report(speeds: dict[str, Figures], ratios: dict[str, float], notes: list[str]) -> None:
    table = Table("", "rows/s", "rows/CPU s")
    for where, figures in speeds.items():
        table.add_section()
        table.add_row(f"[bold]{where}", "", "")
        for name, of in figures.items():
            table.add_row(name, f"{of['rows/s']:,.0f}", f"{of['rows/CPU s']:,.0f}")
    table.add_section()
    for name, ratio in ratios.items():
        table.add_row(name, "", f"{ratio:.2f} x")
    console = Console()
    console.print(table)
    for note in notes:
        console.print(note)


if __name__ == "__main__":
    main()
