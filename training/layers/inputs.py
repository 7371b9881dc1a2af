"""From encoded rows to embeddings, sorted by role: the only layer that knows columns."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn

from features.declarations.features import Encoding, Role
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.tables import Table

_INIT_STD = 0.01
_FLAT_ROLES = (Role.SCENARIO, Role.USER, Role.ITEM, Role.GENERAL)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a model sees of a batch of B rows; columns within a role are as `InputLayer.columns` names them.

    Attributes:
        scenario: [B, D_scenario], scenario id and the statistics within the scenario.
        user, item: [B, D_user], [B, D_item], the priors: ids, author, newcomer features.
        general: [B, D_general], everything else that is not a sequence.
        sequence: [B, L, D_sequence], the recent positives, newest first, with log1p of their age in days;
            a view of one row where all rows are of one user.
        mask: bool [B, L], True where there is an event.
        scenario_index: int64 [B], 0 for a scenario unseen in training.
        activity: [B, D_activity], the numbers among `user`: how new and how active the user is, not who.
        indices: int64 [B, F_id], the index of each of `InputLayer.fields` in its vocabulary, 0 where hidden.
    """

    scenario: Tensor
    user: Tensor
    item: Tensor
    general: Tensor
    sequence: Tensor
    mask: Tensor
    scenario_index: Tensor
    activity: Tensor
    indices: Tensor

    def of(self, *roles: Role) -> Tensor:
        """The columns of `roles` side by side, [B, D]; the sequence as the mean over its events."""
        parts = [
            masked_mean(self.sequence, self.mask) if role is Role.SEQUENCE else getattr(self, role.value)
            for role in roles
        ]
        return torch.cat(parts, dim=-1)


def masked_mean(sequence: Tensor, mask: Tensor) -> Tensor:
    """Mean of [B, L, D] over the positions where mask [B, L] is True; zeros for a row without any."""
    if sequence.stride(0) == 0 and sequence.shape[0] > 1:  # one row, seen B times: one mean is enough
        return masked_mean(sequence[:1], mask[:1]).expand(sequence.shape[0], -1)
    events = mask.sum(dim=1, keepdim=True).clamp(min=1)
    return (sequence * mask.unsqueeze(-1)).sum(dim=1) / events


class InputLayer(nn.Module):
    """Looks all ids up in one embedding table and sorts embeddings and numbers by role.

    Index 0 of each vocabulary stands for everything unseen or missing. Training hides ids at
    random (`id_dropout`), which trains that row: a new user or item starts from the average one.
    Only user and item ids are hidden; the scenario is always known when a list is ranked.

    Args:
        spec: the columns and vocabularies.
        dim: width of every embedding.
        id_dropout: probability of hiding an id in training mode.

    Attributes:
        fields: the id and category fields, by role; their embeddings come first within the role.
    """

    offsets: Tensor
    sequence_offsets: Tensor
    droppable: Tensor
    id_order: Tensor
    numeric_order: Tensor
    scenario_rows: Tensor

    def __init__(self, spec: InputSpec, dim: int, id_dropout: float = 0.0) -> None:
        super().__init__()
        self.id_dropout = id_dropout
        lookups = len(spec.ids) + spec.sequence_length * len(spec.sequences)
        self.embedding = Table(sum(spec.tables.values()), dim, lookups=lookups)
        nn.init.normal_(self.embedding.weight, std=_INIT_STD)

        starts = dict(zip(spec.tables, accumulate(spec.tables.values(), initial=0), strict=False))
        ids = [(i, field) for role in _FLAT_ROLES for i, field in enumerate(spec.ids) if field.role is role]
        numerics = [
            (i, field) for role in _FLAT_ROLES for i, field in enumerate(spec.numerics) if field.role is role
        ]
        self._id_counts = [sum(field.role is role for _, field in ids) for role in _FLAT_ROLES]
        self._numeric_counts = [sum(field.role is role for _, field in numerics) for role in _FLAT_ROLES]
        self._ages = spec.ages is not None
        self.fields = [field for _, field in ids]

        # Derived from the spec, so not part of the saved weights.
        self._buffer("id_order", [i for i, _ in ids])
        self._buffer("numeric_order", [i for i, _ in numerics])
        self._buffer("offsets", [starts[field.table] for _, field in ids])
        self._buffer("sequence_offsets", [starts[field.table] for field in spec.sequences])
        hideable = [f.encoding is Encoding.ID and f.role in (Role.USER, Role.ITEM) for f in self.fields]
        self.register_buffer("droppable", torch.tensor(hideable, dtype=torch.bool), persistent=False)

        self._columns = {
            role: [field.column for _, field in ids if field.role is role for _ in range(dim)]
            + [field.column for _, field in numerics if field.role is role]
            for role in _FLAT_ROLES
        }
        self._columns[Role.SEQUENCE] = [field.column for field in spec.sequences for _ in range(dim)]
        if spec.ages is not None:
            self._columns[Role.SEQUENCE].append(spec.ages)
        first = starts[spec.scenario_table]
        self._buffer("scenario_rows", list(range(first, first + spec.scenarios)))

    def _buffer(self, name: str, values: list[int]) -> None:
        self.register_buffer(name, torch.tensor(values, dtype=torch.int64), persistent=False)

    def columns(self, *roles: Role) -> list[str]:
        """The field that each column of `Inputs.of(*roles)` belongs to."""
        return [column for role in roles for column in self._columns[role]]

    def width(self, *roles: Role) -> int:
        """Number of columns of `Inputs.of(*roles)`."""
        return len(self.columns(*roles))

    @property
    def activity_width(self) -> int:
        """Number of columns of `Inputs.activity`."""
        return self._numeric_counts[_FLAT_ROLES.index(Role.USER)]

    def scenarios(self) -> Tensor:
        """The embedding of every scenario, [S, dim], as `Inputs.scenario_index` numbers them."""
        embedded: Tensor = self.embedding(self.scenario_rows)
        return embedded

    def forward(self, batch: Batch) -> Inputs:
        ids = batch.ids[:, self.id_order]
        if self.training and self.id_dropout > 0.0:
            hidden = torch.rand(ids.shape, device=ids.device) < self.id_dropout
            ids = ids.masked_fill(hidden & self.droppable, 0)
        embedded = torch.split(self.embedding(ids + self.offsets), self._id_counts, dim=1)
        numeric = torch.split(batch.numeric[:, self.numeric_order], self._numeric_counts, dim=1)
        scenario, user, item, general = (
            torch.cat([e.flatten(1), n], dim=1) for e, n in zip(embedded, numeric, strict=True)
        )
        sequence = self.embedding(batch.sequence + self.sequence_offsets).flatten(2)
        if self._ages:
            sequence = torch.cat([sequence, batch.ages.log1p().unsqueeze(-1)], dim=-1)
        activity = numeric[_FLAT_ROLES.index(Role.USER)]
        rows = batch.ids.shape[0]
        sequence, mask = sequence.expand(rows, -1, -1), batch.mask.expand(rows, -1)
        return Inputs(scenario, user, item, general, sequence, mask, batch.scenario, activity, ids)
