"""What holds for every file in training/models, present and to come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace

import pytest
import torch
from torch import nn

from features.declarations.features import Encoding
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import AuxiliaryField, InputSpec
from training.layers.gates import GateNU, PriorGates
from training.layers.tables import Table
from training.losses import masked_bce
from training.models.base import Ranker
from training.models.build import available, build

MakeBatch = Callable[..., Batch]


@pytest.fixture(params=available())
def model(request: pytest.FixtureRequest, tiny_spec: InputSpec, tiny_config: TrainConfig) -> Ranker:
    """A model in float64 and evaluation mode, away from its start so that every gate does something."""
    torch.manual_seed(0)
    model = build(request.param, tiny_spec, tiny_config).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model


def rows_of(batch: Batch, rows: torch.Tensor) -> Batch:
    return Batch(*(getattr(batch, field.name)[rows] for field in fields(batch)))


def test_a_model_gives_a_logit_per_row_and_task(model: Ranker, random_batch: MakeBatch) -> None:
    logits = model(random_batch(rows=7, dtype=torch.float64))
    assert logits.shape == (7, 3)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", available())
def test_auxiliary_tasks_are_learnt_and_never_served(
    name: str, tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    asked = tuple(AuxiliaryField(name=f"asked_{n}", column="seconds", at_least=n) for n in range(2))
    spec = tiny_spec.model_copy(update={"auxiliaries": asked})
    torch.manual_seed(0)
    model = build(name, spec, tiny_config.model_copy(update={"auxiliary_weight": 0.25}))
    batch = random_batch(rows=64)
    logits = model(batch)
    assert logits.shape == (64, 5)
    assert model.target_weights.tolist() == [1.0, 1.0, 1.0, 0.25, 0.25]
    labels = torch.cat([torch.full((64, 3), torch.nan), torch.ones(64, 2)], dim=1)
    masked_bce(logits, labels).backward()  # of the auxiliary tasks alone
    grad = model.inputs.embedding.weight.grad
    assert grad is not None
    assert grad.abs().any()
    assert model.eval()(batch).shape == (64, 3)

    without = build(name, spec, tiny_config)
    assert without(batch).shape == (64, 3)
    assert without.target_weights.tolist() == [1.0, 1.0, 1.0]


def test_a_score_is_the_same_alone_in_a_batch_and_permuted(model: Ranker, random_batch: MakeBatch) -> None:
    batch = random_batch(rows=12, dtype=torch.float64)
    together = model(batch)
    order = torch.randperm(12)
    assert torch.allclose(model(rows_of(batch, order)), together[order], rtol=0, atol=1e-12)
    for row in range(12):
        alone = model(rows_of(batch, torch.tensor([row])))
        assert torch.allclose(alone[0], together[row], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", available())
def test_every_parameter_gets_a_gradient_after_at_most_one_step(
    name: str, tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = build(name, tiny_spec, tiny_config)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def without_gradient() -> set[str]:
        optimizer.zero_grad()
        batch = random_batch(rows=256)
        masked_bce(model(batch), batch.labels).backward()
        return {n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().any()}

    # A fresh gate's last layer is zero, so what lies before it learns from the second step on.
    first_layers = {GateNU: ("hidden.",), PriorGates: ("from_priors.", "from_context.")}
    asleep = {
        f"{gate}.{name}"
        for gate, module in model.named_modules()
        for name, _ in module.named_parameters()
        if name.startswith(first_layers.get(type(module), ()))
    }
    assert without_gradient() == asleep
    optimizer.step()
    assert without_gradient() == set()


@pytest.mark.parametrize("name", available())
def test_every_embedding_row_that_a_batch_reads_gets_a_gradient(
    name: str, tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = build(name, tiny_spec, tiny_config)
    with torch.no_grad():
        for parameter in model.parameters():  # opens the gates: the scenario speaks only through them
            parameter += 0.1 * torch.randn_like(parameter)
    batch = random_batch(rows=64)
    masked_bce(model(batch), batch.labels).backward()
    grad = model.inputs.embedding.weight.grad
    assert grad is not None
    start = 0
    for table, size in tiny_spec.tables.items():
        read = {int(i) for p, f in enumerate(tiny_spec.ids) if f.table == table for i in batch.ids[:, p]}
        assert all(grad[start + index].abs().any() for index in read), table
        start += size


def test_a_table_says_how_many_of_its_rows_a_row_of_a_batch_reads(
    model: Ranker, random_batch: MakeBatch
) -> None:
    read: Counter[nn.Module] = Counter()
    tables = [module for module in model.modules() if isinstance(module, Table)]
    for table in tables:
        table.register_forward_pre_hook(lambda table, given: read.update({table: given[0].numel()}))
    model(random_batch(rows=8, dtype=torch.float64))
    assert read == {table: 8 * table.lookups for table in tables}
    assert all(isinstance(module, Table) for module in model.modules() if isinstance(module, nn.Embedding))


def test_a_row_without_labels_gives_no_gradient(model: Ranker, random_batch: MakeBatch) -> None:
    batch = random_batch(rows=8, dtype=torch.float64)
    labels = batch.labels.nan_to_num(1.0)
    labels[4:] = torch.nan
    masked_bce(model(replace(batch, labels=labels)), labels).backward()
    masked = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    half = rows_of(batch, torch.arange(4))
    masked_bce(model(half), labels[:4]).backward()
    for name, parameter in model.named_parameters():
        assert torch.allclose(masked[name], parameter.grad, rtol=0, atol=1e-12), name


def test_a_score_is_finite_and_shared_when_ids_are_unseen(model: Ranker, random_batch: MakeBatch) -> None:
    batch = random_batch(rows=2, dtype=torch.float64)
    # Two new users, items and authors in a new scenario: encoded alike, whatever their ids were.
    same = rows_of(batch, torch.tensor([0, 0]))
    logits = model(replace(same, ids=torch.zeros_like(same.ids), scenario=torch.zeros_like(same.scenario)))
    assert logits.isfinite().all()
    assert torch.allclose(logits[0], logits[1], rtol=0, atol=1e-12)


def test_a_hidden_id_scores_as_an_unseen_one(
    model: Ranker, tiny_spec: InputSpec, random_batch: MakeBatch
) -> None:
    batch = random_batch(rows=6, dtype=torch.float64)
    hideable = [f.encoding is Encoding.ID and f.role.value in ("user", "item") for f in tiny_spec.ids]
    unseen = model(replace(batch, ids=batch.ids.masked_fill(torch.tensor(hideable), 0)))
    model.inputs.id_dropout = 1.0
    model.inputs.train()  # alone: some layers learn statistics of a training batch
    assert torch.allclose(model(batch), unseen, rtol=0, atol=1e-12)


def test_scores_are_the_same_when_one_history_serves_all_rows(model: Ranker, random_batch: MakeBatch) -> None:
    batch = random_batch(rows=6, dtype=torch.float64)
    longest = int(batch.mask.sum(dim=1).argmax())
    once = {name: getattr(batch, name)[[longest]] for name in ("sequence", "ages", "mask")}
    spread = {name: tensor.repeat_interleave(6, dim=0) for name, tensor in once.items()}
    together, apart = model(replace(batch, **once)), model(replace(batch, **spread))
    assert torch.allclose(together, apart, rtol=0, atol=1e-12)


def test_a_score_is_finite_when_nobody_has_a_history(model: Ranker, random_batch: MakeBatch) -> None:
    batch = random_batch(rows=5, dtype=torch.float64)
    empty = replace(
        batch,
        sequence=torch.zeros_like(batch.sequence),
        ages=torch.zeros_like(batch.ages),
        mask=torch.zeros_like(batch.mask),
    )
    masked_bce(model(empty), empty.labels).backward()
    assert model(empty).isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_padding_of_the_sequence_is_not_read(model: Ranker, random_batch: MakeBatch) -> None:
    batch = random_batch(dtype=torch.float64)
    padding = ~batch.mask
    filled = replace(
        batch,
        sequence=batch.sequence.masked_fill(padding.unsqueeze(-1), 2),
        ages=batch.ages.masked_fill(padding, 50.0),
    )
    assert torch.allclose(model(filled), model(batch), rtol=0, atol=1e-12)


def test_a_score_depends_on_the_scenario(
    model: Ranker, random_batch: MakeBatch, tiny_spec: InputSpec
) -> None:
    batch = random_batch(dtype=torch.float64)
    position = [field.column for field in tiny_spec.ids].index("scenario_id")
    elsewhere = batch.scenario % (tiny_spec.scenarios - 1) + 1
    ids = batch.ids.clone()
    ids[:, position] = elsewhere
    moved = model(replace(batch, ids=ids, scenario=elsewhere))
    assert ((moved - model(batch)).abs() > 1e-6).all()


def test_scores_are_the_same_every_time_in_evaluation(model: Ranker, random_batch: MakeBatch) -> None:
    model.inputs.id_dropout = 0.5
    batch = random_batch(dtype=torch.float64)
    assert torch.equal(model(batch), model(batch))


@pytest.mark.parametrize("name", available())
def test_logits_and_gradients_are_finite_when_computed_in_bfloat16(
    name: str, tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    torch.manual_seed(0)
    model = build(name, tiny_spec, tiny_config)
    batch = random_batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(batch)
        masked_bce(logits, batch.labels).backward()
    assert logits.isfinite().all()
    assert torch.allclose(logits.float(), model(batch), atol=0.05)
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("name", available())
def test_a_model_works_without_sequences_and_with_one_task(
    name: str, tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    spec = tiny_spec.model_copy(
        update={"sequences": (), "ages": None, "sequence_length": 0, "tasks": ("click",)}
    )
    batch = random_batch(rows=4)
    bare = replace(batch, sequence=batch.sequence[:, :0, :0], ages=batch.ages[:, :0], mask=batch.mask[:, :0])
    logits = build(name, spec, tiny_config)(bare)
    assert logits.shape == (4, 1)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", available())
def test_a_model_learns_a_rule_that_differs_by_scenario(
    name: str, tiny_spec: InputSpec, tiny_config: TrainConfig, random_batch: MakeBatch
) -> None:
    """In scenario 1 a high first number is good, in the others a low one."""
    torch.manual_seed(0)
    model = build(name, tiny_spec, tiny_config)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)

    def labelled(seed: int) -> Batch:
        batch = random_batch(rows=256, seed=seed)
        sign = torch.where(batch.scenario == 1, 1.0, -1.0)
        good = (sign * batch.numeric[:, 0] > 0).float()
        return replace(batch, labels=good.unsqueeze(1).expand(-1, 3))

    for seed in range(80):
        batch = labelled(seed)
        optimizer.zero_grad()
        masked_bce(model(batch), batch.labels).backward()
        optimizer.step()
    held_out = labelled(1000)
    right = (model.eval()(held_out) > 0) == held_out.labels.bool()
    assert right.float().mean() > 0.85
