"""M2M: what is known of the scenario generates the weights that mix the experts and score each task."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.errors import ModelSettingsError
from training.layers.attention import SelfAttention
from training.layers.experts import ExpertGate
from training.layers.inputs import Inputs, masked_mean
from training.layers.meta import MetaUnit
from training.layers.routing import route
from training.layers.towers import MLP, ParallelLinear, ParallelMLP
from training.models.base import Ranker

_KNOWLEDGE = (Role.SCENARIO, Role.USER)
_OTHER = (Role.USER, Role.ITEM, Role.GENERAL)


class M2M(Ranker):
    """Multi-scenario multi-task meta learning; phi is LeakyReLU throughout.

    Backbone:       F = self-attention over [user, item, recent positives], the first two outputs as they
                    are and the mean of the rest; experts E_i = MLP_i([F, user, item, general]).
    Task views:     T_t = MLP(embedding of task t), the same for every scenario.
    Knowledge:      S~ = MLP([scenario, user]), or MLP(embedding of the scenario) where `knowledge_of` is
                    "scenario"; every meta unit below generates its weights from it.
    Meta attention: a_ti = v^T Meta_t([E_i, T_t]); R_t = sum_i softmax_i(a_ti) E_i.
    Meta tower:     L_0 = R_t; L_j = phi(Meta_{j-1}(L_{j-1}) + L_{j-1}); logit_t = w_t^T L + c_t.

    Args:
        spec: the columns it reads and the tasks it predicts.
        config: `hidden` are the widths of each expert; the last is the width of experts and task views.
        experts: how many.
        knowledge: width of S~. Cost and size of the meta units grow with it.
        attention: width of the self-attention.
        heads: of the self-attention; they divide its width.
        meta_depth: layers in one meta unit (K).
        tower_depth: residual meta units in the tower.
        knowledge_of: "user", so that nearly every row has an S~ and weights of its own, or "scenario", so
            that all rows of a scenario share them and they are generated once for many rows.

    Raises:
        ModelSettingsError: knowledge of something else, or heads that do not divide the attention's width.

    Source: Zhang et al., M2M, WSDM 2022, arXiv 2201.06814. The paper regresses; click-like tasks are
    trained with cross entropy here, on the logits.
    """

    def __init__(
        self,
        spec: InputSpec,
        config: TrainConfig,
        *,
        experts: int = 3,
        knowledge: int = 8,
        attention: int = 32,
        heads: int = 2,
        meta_depth: int = 1,
        tower_depth: int = 2,
        knowledge_of: str = "user",
    ) -> None:
        super().__init__(spec, config)
        if knowledge_of not in ("user", "scenario"):
            raise ModelSettingsError(
                f"m2m cannot generate weights from knowledge of {knowledge_of!r}; "
                "set knowledge_of to user (each user's in the scenario) or to scenario"
            )
        self.knowledge_of = knowledge_of
        width, tasks = config.hidden[-1], self.targets

        self.user_token = nn.Linear(self.inputs.width(Role.USER), attention)
        self.item_token = nn.Linear(self.inputs.width(Role.ITEM), attention)
        self.event_token = nn.Linear(self.inputs.width(Role.SEQUENCE), attention)
        self.attention = SelfAttention(attention, heads)
        read = 3 * attention + self.inputs.width(*_OTHER)
        self.experts = ParallelMLP(experts, read, config.hidden, nn.LeakyReLU)

        self.task_embedding = nn.Parameter(torch.randn(tasks, width))
        self.task_view = MLP(width, [width], nn.LeakyReLU)
        known = self.inputs.width(*_KNOWLEDGE) if knowledge_of == "user" else config.embedding_dim
        self.knowledge = MLP(known, [2 * knowledge, knowledge], nn.LeakyReLU)

        self.meta_attention = MetaUnit(tasks, knowledge, 2 * width, meta_depth)
        # One v for all tasks and no bias: a constant cancels in the softmax.
        self.attention_score = nn.Linear(2 * width, 1, bias=False)
        self.expert_gate = ExpertGate()
        self.meta_tower = nn.ModuleList(
            MetaUnit(tasks, knowledge, width, meta_depth) for _ in range(tower_depth)
        )
        self.out = ParallelLinear(tasks, width, 1)

    def logits(self, batch: Batch) -> Tensor:
        inputs = self.inputs(batch)
        experts = self.experts(self._backbone(inputs))  # [B, k, d]
        if self.knowledge_of == "user":
            known = self._known(experts.unsqueeze(1), self.knowledge(inputs.of(*_KNOWLEDGE))).squeeze(1)
        else:
            known = self._known_by_scenario(experts, inputs.scenario_index)
        logits: Tensor = self.out(known)
        return logits.squeeze(-1)

    def _known_by_scenario(self, experts: Tensor, scenario: Tensor) -> Tensor:
        """`_known` for experts [B, k, d] and S~ of the row's scenario, [B, T, d]."""
        knowledge = self.knowledge(self.inputs.scenarios())  # [S, R]
        routes = route(scenario, self.spec.scenarios)
        return routes.to_rows(self._known(routes.to_tiles(experts), knowledge[routes.tile_group]))

    def _known(self, experts: Tensor, knowledge: Tensor) -> Tensor:
        """L of each task: experts [G, M, k, d] of M rows that share a knowledge [G, R], to [G, M, T, d]."""
        return self._meta_tower(self._meta_attention(experts, knowledge), knowledge).transpose(1, 2)

    def _backbone(self, inputs: Inputs) -> Tensor:
        """[F, other features], [B, D]."""
        profile = torch.stack([self.user_token(inputs.user), self.item_token(inputs.item)], dim=1)
        tokens = torch.cat([profile, self.event_token(inputs.sequence)], dim=1)
        mask = F.pad(inputs.mask, (profile.shape[1], 0), value=True)
        attended = self.attention(tokens, mask)
        user, item, events = attended.tensor_split((1, 2), dim=1)
        pooled = masked_mean(events, inputs.mask)
        return torch.cat([user.squeeze(1), item.squeeze(1), pooled, inputs.of(*_OTHER)], dim=1)

    def _meta_attention(self, experts: Tensor, knowledge: Tensor) -> Tensor:
        """R_t, the experts as task t mixes them in this scenario, [G, T, M, d]."""
        views = self.task_view(self.task_embedding)
        # Every task's unit reads the same experts, and its own view behind each.
        met = self.meta_attention(experts.flatten(1, 2), knowledge, views)  # [G, T, M * k, 2 d]
        scores = self.attention_score(met).unflatten(2, experts.shape[1:3]).squeeze(-1)
        return torch.einsum("gtmk,gmkd->gtmd", self.expert_gate(scores), experts)

    def _meta_tower(self, mixed: Tensor, knowledge: Tensor) -> Tensor:
        """L after all residual meta units, [G, T, M, d]."""
        hidden = mixed
        for meta in self.meta_tower:
            hidden = F.leaky_relu(meta(hidden, knowledge) + hidden)
        return hidden


MODEL = M2M
