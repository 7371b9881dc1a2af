"""Fixtures: a small input specification with every kind of column, and random batches of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from features.declarations.features import Encoding, Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import IdField, InputSpec, NumericField, SequenceField

IDS = (
    # Deliberately not in the order of roles: positions in the arrays say nothing about roles.
    ("hour", Role.GENERAL, Encoding.CATEGORY, "hour"),
    ("user_id", Role.USER, Encoding.ID, "user_id"),
    ("item_id", Role.ITEM, Encoding.ID, "item_id"),
    ("scenario_id", Role.SCENARIO, Encoding.ID, "scenario_id"),
    ("author_id", Role.ITEM, Encoding.ID, "author_id"),
    ("tag_id", Role.GENERAL, Encoding.ID, "tag_id"),
)
NUMERICS = (
    ("item_engagement__click_rate_1d", Role.GENERAL),
    ("user_scenario_engagement__impressions_1d", Role.SCENARIO),
    ("user_engagement__click_rate_1d", Role.GENERAL),
    ("newcomer__days_active", Role.USER),
)


@pytest.fixture
def tiny_spec() -> InputSpec:
    return InputSpec(
        service="ranker_v1",
        tasks=("click", "long_view", "like"),
        ids=tuple(
            IdField(column=column, role=role, encoding=encoding, table=table)
            for column, role, encoding, table in IDS
        ),
        numerics=tuple(
            NumericField(column=column, role=role, log=False, default=0.0, mean=0.0, std=1.0)
            for column, role in NUMERICS
        ),
        sequences=(
            SequenceField(column="user_positives__item_ids", table="item_id"),
            SequenceField(column="user_positives__tag_ids", table="tag_id"),
        ),
        ages="user_positives__event_times",
        sequence_length=5,
        tables={"hour": 5, "user_id": 11, "item_id": 13, "scenario_id": 4, "author_id": 7, "tag_id": 6},
    )


@pytest.fixture
def tiny_config() -> TrainConfig:
    return TrainConfig(embedding_dim=3, hidden=(8, 6))


@pytest.fixture
def random_batch(tiny_spec: InputSpec) -> Callable[..., Batch]:
    """Make a batch of `tiny_spec`: known ids, some labels missing, sequences of 0 to L events."""

    def make(rows: int = 16, seed: int = 0, dtype: torch.dtype = torch.float32) -> Batch:
        random = torch.Generator().manual_seed(seed)

        def ids(tables: list[str], *shape: int) -> torch.Tensor:
            sizes = torch.tensor([tiny_spec.tables[table] for table in tables])
            drawn = torch.rand(*shape, len(tables), generator=random)
            return 1 + (drawn * (sizes - 1)).long()

        length = tiny_spec.sequence_length
        events = torch.randint(0, length + 1, (rows,), generator=random)
        mask = torch.arange(length) < events.unsqueeze(1)
        flat = ids([field.table for field in tiny_spec.ids], rows)
        sequence = ids([field.table for field in tiny_spec.sequences], rows, length)
        labels = torch.randint(0, 2, (rows, len(tiny_spec.tasks)), generator=random).to(dtype)
        labels[torch.rand(labels.shape, generator=random) < 0.2] = torch.nan
        scenario = [field.column for field in tiny_spec.ids].index("scenario_id")
        return Batch(
            ids=flat,
            numeric=torch.randn(rows, len(tiny_spec.numerics), generator=random, dtype=dtype),
            sequence=sequence * mask.unsqueeze(-1),
            ages=torch.rand(rows, length, generator=random, dtype=dtype) * 10 * mask,
            mask=mask,
            scenario=flat[:, scenario].clone(),
            labels=labels,
        )

    return make
