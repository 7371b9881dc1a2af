"""Three ways to apply weights that the scenario generates: a training step of M2M's meta layer.

    make bench-meta

One layer for each of three tasks, S~ of width 8, 4,096 rows of 16 scenarios, one thread. A matrix a row is
what the equations say; linearity never makes it; tiles make one for many rows of a scenario. Rows a second by
processor time, the best of ten, so that other work on the machine counts less. That the three agree is
tested. Prints a table and writes benchmarks/results/meta.json.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from benchmarks.reporting import write_results
from training.layers.meta import MetaLayer, Tiles

ROWS, SCENARIOS, KNOWLEDGE, TASKS, WIDTHS, REPEATS = 4096, 16, 8, 3, (32, 64, 128), 10


def main() -> None:
    torch.set_num_threads(1)
    figures = {f"d = {width}": _measured(width) for width in WIDTHS}
    table = Table("rows a second, forward and backward", *figures)
    for way in next(iter(figures.values())):
        table.add_row(way, *(f"{of[way]:,.0f}" for of in figures.values()))
    table.add_row(
        "tiles / a matrix a row", *(f"{of['tiles'] / of['a matrix a row']:.1f}" for of in figures.values())
    )
    Console().print(table)
    write_results("meta", {"rows a second": figures}, packages=["torch"])


def _measured(width: int) -> dict[str, float]:
    torch.manual_seed(7)
    layer = MetaLayer(TASKS, KNOWLEDGE, width)
    hidden = torch.randn(ROWS, 1, TASKS, width, requires_grad=True)
    table = torch.randn(SCENARIOS, KNOWLEDGE, requires_grad=True)
    scenario = torch.randint(0, SCENARIOS, (ROWS,))

    def a_matrix_a_row() -> Tensor:
        known = F.pad(table[scenario], (0, 1), value=1.0)
        matrices = torch.cat([layer.V_w, layer.v_w.unsqueeze(1)], dim=1)
        biases = torch.cat([layer.V_b, layer.v_b.unsqueeze(1)], dim=1)
        product = layer._weigh_matrices(hidden.transpose(1, 2), known, matrices)
        return product + torch.einsum("br,nrj->bnj", known, biases).unsqueeze(2)

    def linearity() -> Tensor:
        output: Tensor = layer(hidden.transpose(1, 2), table[scenario])
        return output

    def tiles() -> Tensor:
        tiled = Tiles(scenario, SCENARIOS)
        output = layer(tiled.split(hidden.squeeze(1)).transpose(1, 2), table[tiled.group])
        return tiled.join(output.transpose(1, 2)).unsqueeze(2)

    ways = {"a matrix a row": a_matrix_a_row, "linearity": linearity, "tiles": tiles}
    return {name: ROWS / min(_seconds(way) for _ in range(REPEATS)) for name, way in ways.items()}


def _seconds(way: Callable[[], Tensor]) -> float:
    begun = time.process_time()
    way().sum().backward()
    return time.process_time() - begun


if __name__ == "__main__":
    main()
