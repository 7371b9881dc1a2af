from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import log1p

import pytest
import torch

from features.declarations.features import Role
from training.data.batch import Batch
from training.data.spec import InputSpec, NumericField
from training.layers.inputs import InputLayer, masked_mean

DIM = 3
MakeBatch = Callable[..., Batch]


@pytest.fixture
def layer(tiny_spec: InputSpec) -> InputLayer:
    return InputLayer(tiny_spec, DIM).double()


def embedding(layer: InputLayer, spec: InputSpec, table: str, index: int) -> list[float]:
    """Row `index` of vocabulary `table`, found by counting through the vocabularies."""
    row = index
    for name, size in spec.tables.items():
        if name == table:
            break
        row += size
    return layer.embedding.weight[row].tolist()


@pytest.mark.parametrize("role", [Role.SCENARIO, Role.USER, Role.ITEM, Role.GENERAL])
def test_a_role_holds_its_ids_embeddings_then_its_numbers(
    layer: InputLayer, tiny_spec: InputSpec, random_batch: MakeBatch, role: Role
) -> None:
    batch = random_batch(dtype=torch.float64)
    seen = layer(batch).of(role).tolist()
    for row in range(len(batch.ids)):
        expected: list[float] = []
        for position, field in enumerate(tiny_spec.ids):
            if field.role is role:
                expected += embedding(layer, tiny_spec, field.table, int(batch.ids[row, position]))
        for position, number in enumerate(tiny_spec.numerics):
            if number.role is role:
                expected.append(batch.numeric[row, position].item())
        assert seen[row] == expected


def test_an_event_of_the_sequence_is_its_embeddings_and_the_logarithm_of_its_age(
    layer: InputLayer, tiny_spec: InputSpec, random_batch: MakeBatch
) -> None:
    batch = random_batch(dtype=torch.float64)
    sequence = layer(batch).sequence
    for row, position in batch.mask.nonzero().tolist():
        expected: list[float] = []
        for element, field in enumerate(tiny_spec.sequences):
            index = int(batch.sequence[row, position, element])
            expected += embedding(layer, tiny_spec, field.table, index)
        expected.append(log1p(batch.ages[row, position].item()))
        assert sequence[row, position].tolist() == pytest.approx(expected, rel=1e-12)


def test_columns_name_every_column_of_the_roles_asked_for(
    layer: InputLayer, tiny_spec: InputSpec, random_batch: MakeBatch
) -> None:
    inputs = layer(random_batch(dtype=torch.float64))
    for roles in [(role,) for role in Role] + [tuple(Role)]:
        assert inputs.of(*roles).shape[1] == layer.width(*roles) == len(layer.columns(*roles))
    assert layer.columns(Role.ITEM) == ["item_id"] * DIM + ["author_id"] * DIM
    assert layer.columns(Role.SCENARIO) == [
        *["scenario_id"] * DIM,
        "user_scenario_engagement__impressions_1d",
    ]


def test_one_table_serves_an_id_and_the_sequence_of_the_same_vocabulary(
    layer: InputLayer, tiny_spec: InputSpec
) -> None:
    assert layer.embedding.num_embeddings == sum(tiny_spec.tables.values())
    assert [name for name, _ in layer.named_parameters()] == ["embedding.weight"]
    assert list(layer.state_dict()) == ["embedding.weight"]


def test_the_mean_of_a_sequence_counts_only_its_events() -> None:
    sequence = torch.tensor([[[1.0, 10.0], [3.0, 20.0], [99.0, 99.0]]])
    assert masked_mean(sequence, torch.tensor([[True, True, False]])).tolist() == [[2.0, 15.0]]


def test_the_mean_of_an_empty_sequence_is_zero_and_passes_no_gradient() -> None:
    sequence = torch.randn(2, 3, 4, requires_grad=True)
    mean = masked_mean(sequence, torch.zeros(2, 3, dtype=torch.bool))
    mean.sum().backward()
    assert sequence.grad is not None
    assert torch.equal(mean, torch.zeros(2, 4))
    assert torch.equal(sequence.grad, torch.zeros(2, 3, 4))


def test_id_dropout_hides_a_share_of_user_and_item_ids_and_nothing_else(
    tiny_spec: InputSpec, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    layer = InputLayer(tiny_spec, DIM, id_dropout=0.3)
    batch = random_batch(rows=2000)
    shown, dropped = layer.eval()(batch), layer.train()(batch)
    for role in (Role.SCENARIO, Role.GENERAL, Role.SEQUENCE):
        assert torch.equal(shown.of(role), dropped.of(role))
    unseen = torch.tensor(
        embedding(layer, tiny_spec, "item_id", 0) + embedding(layer, tiny_spec, "author_id", 0)
    )
    for field in (slice(0, DIM), slice(DIM, 2 * DIM)):
        hidden = (dropped.item[:, field] == unseen[field]).all(dim=1)
        assert hidden.float().mean().item() == pytest.approx(0.3, abs=0.05)
        assert torch.equal(dropped.item[~hidden, field], shown.item[~hidden, field])


def test_id_dropout_trains_the_row_of_unseen_ids(tiny_spec: InputSpec, random_batch: MakeBatch) -> None:
    torch.manual_seed(0)
    layer = InputLayer(tiny_spec, DIM, id_dropout=0.5)
    layer(random_batch(rows=64)).user.sum().backward()
    grad = layer.embedding.weight.grad
    assert grad is not None
    user_start = tiny_spec.tables["hour"]
    assert grad[user_start].abs().sum() > 0


def test_activity_is_the_numbers_known_of_a_user_and_no_embedding(
    tiny_spec: InputSpec, random_batch: MakeBatch
) -> None:
    more = NumericField(column="register_days", role=Role.USER, log=True, default=0.0, mean=0.0, std=1.0)
    spec = tiny_spec.model_copy(update={"numerics": (more, *tiny_spec.numerics)})
    batch = random_batch(rows=4)
    numeric = torch.cat([torch.tensor([[3.0], [4.0], [5.0], [6.0]]), batch.numeric], dim=1)
    layer = InputLayer(spec, DIM)
    activity = layer(replace(batch, numeric=numeric)).activity
    assert activity.shape == (4, layer.activity_width)
    assert torch.equal(activity, numeric[:, [0, 4]])


def test_indices_are_those_that_were_looked_up_hidden_ones_included(
    tiny_spec: InputSpec, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    layer = InputLayer(tiny_spec, DIM, id_dropout=0.5)
    batch = random_batch(rows=50)
    inputs = layer(batch)
    position = [field.column for field in layer.fields].index("item_id")
    index = inputs.indices[:, position]
    assert 0 < (index == 0).sum() < 50
    start = tiny_spec.tables["hour"] + tiny_spec.tables["user_id"]
    assert torch.equal(inputs.item[:, :DIM], layer.embedding.weight[start + index])
    assert torch.equal(index[index > 0], batch.ids[:, 2][index > 0])


def test_scenarios_are_embedded_as_the_rows_of_each_are(
    layer: InputLayer, tiny_spec: InputSpec, random_batch: MakeBatch
) -> None:
    inputs = layer(random_batch(dtype=torch.float64))
    assert layer.scenarios().shape == (tiny_spec.scenarios, DIM)
    assert torch.equal(layer.scenarios()[inputs.scenario_index], inputs.scenario[:, :DIM])


def test_inputs_are_the_same_every_time_in_evaluation(tiny_spec: InputSpec, random_batch: MakeBatch) -> None:
    layer = InputLayer(tiny_spec, DIM, id_dropout=0.9).eval()
    batch = random_batch()
    assert torch.equal(layer(batch).of(*Role), layer(batch).of(*Role))


def test_a_service_without_sequences_has_an_empty_sequence_role(
    tiny_spec: InputSpec, random_batch: MakeBatch
) -> None:
    spec = tiny_spec.model_copy(update={"sequences": (), "ages": None, "sequence_length": 0})
    batch = random_batch(rows=4)
    bare = replace(batch, sequence=batch.sequence[:, :0, :0], ages=batch.ages[:, :0], mask=batch.mask[:, :0])
    layer = InputLayer(spec, DIM)
    assert layer(bare).of(Role.SEQUENCE).shape == (4, 0)
    assert layer.columns(Role.SEQUENCE) == []
