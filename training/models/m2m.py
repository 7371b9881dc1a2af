"""M2M: what is known of the scenario generates the weights that mix the experts and score each task."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.attention import SelfAttention
from training.layers.experts import ExpertGate
from training.layers.inputs import Inputs, masked_mean
from training.layers.meta import MetaUnit
from training.layers.towers import MLP, ParallelLinear, ParallelMLP, repeated
from training.models.base import Ranker

_KNOWLEDGE = (Role.SCENARIO, Role.USER)
_OTHER = (Role.USER, Role.ITEM, Role.GENERAL)


class M2M(Ranker):
    """Multi-scenario multi-task meta learning; phi is LeakyReLU throughout.

    Backbone:       F = self-attention over [user, item, recent positives], the first two outputs as they
                    are and the mean of the rest; experts E_i = MLP_i([F, user, item, general]).
    Task views:     T_t = MLP(embedding of task t), the same for every scenario.
    Knowledge:      S~ = MLP([scenario, user]), from which every meta unit below generates its weights.
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
    ) -> None:
        super().__init__(spec, config)
        self.experts_count, self.tasks = experts, len(spec.tasks)
        width = config.hidden[-1]

        self.user_token = nn.Linear(self.inputs.width(Role.USER), attention)
        self.item_token = nn.Linear(self.inputs.width(Role.ITEM), attention)
        self.event_token = nn.Linear(self.inputs.width(Role.SEQUENCE), attention)
        self.attention = SelfAttention(attention, heads)
        read = 3 * attention + self.inputs.width(*_OTHER)
        self.experts = ParallelMLP(experts, read, config.hidden, nn.LeakyReLU)

        self.task_embedding = nn.Parameter(torch.randn(self.tasks, width))
        self.task_view = MLP(width, [width], nn.LeakyReLU)
        self.knowledge = MLP(self.inputs.width(*_KNOWLEDGE), [2 * knowledge, knowledge], nn.LeakyReLU)

        self.meta_attention = MetaUnit(self.tasks, knowledge, 2 * width, meta_depth)
        # One v for all tasks and no bias: a constant cancels in the softmax.
        self.attention_score = nn.Linear(2 * width, 1, bias=False)
        self.expert_gate = ExpertGate()
        self.meta_tower = nn.ModuleList(
            MetaUnit(self.tasks, knowledge, width, meta_depth) for _ in range(tower_depth)
        )
        self.out = ParallelLinear(self.tasks, width, 1)

    def forward(self, batch: Batch) -> Tensor:
        inputs = self.inputs(batch)
        knowledge = self.knowledge(inputs.of(*_KNOWLEDGE))
        experts = self.experts(repeated(self._backbone(inputs), self.experts_count))  # [B, k, d]
        mixed = self._meta_attention(experts, knowledge)  # [B, T, d]
        logits: Tensor = self.out(self._meta_tower(mixed, knowledge))
        return logits.squeeze(-1)

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
        """R_t, the experts as task t mixes them in this scenario, [B, T, d]."""
        views = self.task_view(self.task_embedding)
        rows, width = experts.shape[0], experts.shape[-1]
        shape = (rows, self.tasks, self.experts_count, width)
        pairs = torch.cat([experts.unsqueeze(1).expand(shape), views.unsqueeze(1).expand(shape)], dim=-1)
        scores = self.attention_score(self.meta_attention(pairs, knowledge)).squeeze(-1)
        return torch.einsum("btk,bkd->btd", self.expert_gate(scores), experts)

    def _meta_tower(self, mixed: Tensor, knowledge: Tensor) -> Tensor:
        """L after all residual meta units, [B, T, d]."""
        hidden = mixed
        for meta in self.meta_tower:
            hidden = F.leaky_relu(meta(hidden.unsqueeze(2), knowledge).squeeze(2) + hidden)
        return hidden


MODEL = M2M
