"""PLE: experts of each task beside shared ones, extracted layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

from torch import Tensor, nn

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.errors import ModelSettingsError
from training.layers.experts import Extraction
from training.layers.towers import TaskTowers
from training.models.base import Ranker


class PLE(Ranker):
    """Progressive layered extraction; x is all inputs, and each task and the shared stream start from it.

    In every extraction layer, for task t and for the shared stream s, with H_t and H_s of the layer before:
        experts    E_t,1 .. E_t,m read H_t, and E_s,1 .. E_s,n read H_s
        task       H_t = sum_i softmax_i(W_t H_t + b_t) [E_t, E_s]_i
        shared     H_s = sum_i softmax_i(W_s H_s + b_s) [E_1, .., E_T, E_s]_i, but in the last layer
    and at last logit_t = tower_t(H_t).

    Args:
        spec: the columns it reads and the tasks it predicts.
        config: `hidden` are the widths of each expert of the first extraction layer; an expert of a later
            one is one dense layer of the last width.
        extractions: extraction layers.
        specific: experts of each task in every layer (m).
        shared: shared experts in every layer (n).
        tower: hidden widths of each task's tower.

    Raises:
        ModelSettingsError: there is no extraction layer, or a kind of experts is missing.

    Source: Tang et al., Progressive Layered Extraction, RecSys 2020.
    """

    def __init__(
        self,
        spec: InputSpec,
        config: TrainConfig,
        *,
        extractions: int = 2,
        specific: int = 1,
        shared: int = 2,
        tower: Sequence[int] = (32,),
    ) -> None:
        super().__init__(spec, config)
        if min(extractions, specific, shared) < 1:
            raise ModelSettingsError(
                f"ple has {extractions} extractions, {specific} specific and {shared} shared experts: "
                "set each to 1 or more, or train mmoe, which has shared experts alone"
            )
        tasks, width = self.targets, config.hidden[-1]
        shapes = [(self.inputs.width(*Role), config.hidden), *repeat((width, (width,)), extractions - 1)]
        self.extractions = nn.Sequential(
            *(
                Extraction(tasks, inputs, widths, specific=specific, shared=shared, last=layer == extractions)
                for layer, (inputs, widths) in enumerate(shapes, start=1)
            )
        )
        self.towers = TaskTowers(tasks, width, tower)

    def logits(self, batch: Batch) -> Tensor:
        logits: Tensor = self.towers(self.extractions(self.inputs(batch).of(*Role)))
        return logits


MODEL = PLE
