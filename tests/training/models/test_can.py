from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.models.can import CAN

MakeBatch = Callable[..., Batch]
USER, ITEM, AUTHOR = 1, 2, 4  # columns of Batch.ids in the tiny specification
ITEMS = 13  # rows of the item's vocabulary, which the author's follow in the table of micro-MLPs


@pytest.fixture
def model(tiny_spec: InputSpec, tiny_config: TrainConfig) -> CAN:
    torch.manual_seed(0)
    model = CAN(tiny_spec, tiny_config, micro=(4, 2)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model


def micro(row: Tensor, x: Tensor) -> Tensor:
    """The micro-MLP 3-4-2 of a row, all layers' outputs."""
    w1, b1, w2, b2 = row.split([12, 4, 8, 2])
    hidden = torch.tanh(x @ w1.view(3, 4) + b1)
    return torch.cat([hidden, hidden @ w2.view(4, 2) + b2])


def coactions(model: CAN, batch: Batch, row: int) -> Tensor:
    """One row's pairs of {item, author} and {user; items, tags of the events}, each an order at a time."""
    inputs = model.inputs(batch)
    user = inputs.user[row, :3]
    events = inputs.sequence[row][batch.mask[row]]
    table = model.coaction.table.weight.view(-1, 3, 26)
    rows = (table[batch.ids[row, ITEM]], table[ITEMS + batch.ids[row, AUTHOR]])
    seen = [micro(own[0], user**order) for order in (1, 2) for own in rows]
    for order in (1, 2):
        for own in rows:
            for feed in (0, 1):
                fed = [micro(own[1 + feed], event[3 * feed : 3 * feed + 3] ** order) for event in events]
                seen.append(sum(fed, start=torch.zeros(6, dtype=torch.float64)))
    return torch.cat(seen)


def test_can_lets_the_item_read_the_user_and_every_event(model: CAN, random_batch: MakeBatch) -> None:
    batch = random_batch(rows=6, dtype=torch.float64)
    assert not batch.mask.any(dim=1).all(), "one row should have no history"
    logits = model(batch)
    for row, x in enumerate(model.inputs(batch).of(*Role)):
        x = torch.cat([x, coactions(model, batch, row)])
        for layer in (model.mlp[0], model.mlp[2]):
            x = torch.relu(layer.weight @ x + layer.bias)
        expected = model.out.weight @ x + model.out.bias
        assert logits[row].tolist() == pytest.approx(expected.tolist(), rel=1e-10)


def test_co_actions_train_the_fed_embeddings_and_the_items_micro_mlps_not_the_items_embedding(
    model: CAN, tiny_spec: InputSpec, random_batch: MakeBatch
) -> None:
    batch = random_batch(rows=1, dtype=torch.float64)
    batch = replace(batch, mask=torch.zeros_like(batch.mask))  # or the item might be among the events
    model._coactions(model.inputs(batch)).sum().backward()
    main, tables = model.inputs.embedding.weight.grad, model.coaction.table.weight.grad
    assert main is not None
    assert tables is not None
    user = tiny_spec.tables["hour"] + int(batch.ids[0, USER])
    assert main.abs().sum(dim=1).nonzero().flatten().tolist() == [user]
    read = [int(batch.ids[0, ITEM]), ITEMS + int(batch.ids[0, AUTHOR])]
    assert tables.abs().sum(dim=1).nonzero().flatten().tolist() == read


def test_a_hidden_item_is_the_row_of_unseen_items_in_both_tables_at_once(
    model: CAN, random_batch: MakeBatch
) -> None:
    model.inputs.id_dropout = 0.5
    seen: list[Tensor] = []
    model.coaction.table.register_forward_hook(lambda module, inputs, output: seen.extend(inputs))
    inputs: list[Tensor] = []
    model.inputs.register_forward_hook(lambda module, args, output: inputs.append(output.item))
    batch = random_batch(rows=40, dtype=torch.float64)
    model.train()(batch)
    start = 5 + 11  # rows of the hour's and the user's vocabularies
    unseen = (inputs[0][:, :3] == model.inputs.embedding.weight[start]).all(dim=1)
    assert 0 < unseen.sum() < 40
    assert torch.equal(seen[0][:, 0], batch.ids[:, ITEM].masked_fill(unseen, 0))
