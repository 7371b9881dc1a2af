"""Embedding tables that know how many of their rows a batch reads."""

from __future__ import annotations

from torch import nn


class Table(nn.Embedding):
    """An embedding table [rows, width] in which each row of a batch makes `lookups` look-ups.

    Attributes:
        lookups: how many. Against the table's rows it decides whether a step of the optimiser costs less
            on the whole table or on the rows that were read.
    """

    def __init__(self, rows: int, width: int, *, lookups: int) -> None:
        super().__init__(rows, width)
        self.lookups = lookups
