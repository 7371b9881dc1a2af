"""CAN: the item is a small network that reads the user and the user's recent positives."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from features.declarations.features import Encoding, Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.coaction import CoAction
from training.layers.inputs import Inputs
from training.layers.towers import MLP
from training.models.base import Ranker


class CAN(Ranker):
    """logits = W MLP([all inputs, co-actions]) + b.

    A co-action is a pair of an item's id (item, author) and a field of the user or of the events: a
    micro-MLP, which is the id's row of a table of its own, reads the field's embedding, or every event's
    and adds them up. A hidden or unseen id is row 0 here as everywhere, which id dropout trains.

    Args:
        spec: the columns it reads and the tasks it predicts.
        config: `hidden` are the widths of the MLP.
        micro: widths of the layers of a micro-MLP, which reads an embedding.
        orders: powers of the embedding that are fed.

    Source: Bian et al., CAN: Feature Co-Action for Click-Through Rate Prediction, arXiv 2011.05625.
    """

    def __init__(
        self, spec: InputSpec, config: TrainConfig, *, micro: Sequence[int] = (8, 4), orders: int = 2
    ) -> None:
        super().__init__(spec, config)
        fields = self.inputs.fields
        self.items = [
            i for i, field in enumerate(fields) if field.role is Role.ITEM and field.encoding is Encoding.ID
        ]
        # Embeddings in Inputs.user, and in an event of Inputs.sequence: shapes of what is fed.
        self.of_user = (sum(field.role is Role.USER for field in fields), config.embedding_dim)
        self.of_event = (len(spec.sequences), config.embedding_dim)
        self.coaction = CoAction(
            [spec.tables[fields[i].table] for i in self.items],
            self.of_user[0] + self.of_event[0],
            config.embedding_dim,
            micro,
            orders,
        )
        self.mlp = MLP(self.inputs.width(*Role) + self.coaction.width, config.hidden)
        self.out = nn.Linear(config.hidden[-1], self.targets)

    def logits(self, batch: Batch) -> Tensor:
        inputs = self.inputs(batch)
        hidden = self.mlp(torch.cat([inputs.of(*Role), self._coactions(inputs)], dim=1))
        logits: Tensor = self.out(hidden)
        return logits

    def _coactions(self, inputs: Inputs) -> Tensor:
        """Of all pairs, [B, width of the co-action]."""
        networks = self.coaction.networks(inputs.indices[:, self.items])
        for_user, for_events = networks.tensor_split(self.of_user[:1], dim=2)
        user, events = (
            torch.unflatten(side.narrow(-1, 0, count * dim), -1, (count, dim))
            for side, (count, dim) in ((inputs.user, self.of_user), (inputs.sequence, self.of_event))
        )  # [B, fields, dim] and [B, L, fields, dim]
        always = inputs.mask.new_ones(user.shape[0], 1)
        return torch.cat(
            [
                self.coaction(for_user, user.unsqueeze(2), always),
                self.coaction(for_events, events.transpose(1, 2), inputs.mask),
            ],
            dim=1,
        )


MODEL = CAN
