from __future__ import annotations

from math import exp, log

import pytest
import torch

from training.losses import masked_bce

NAN = float("nan")


def test_the_loss_is_the_sum_over_tasks_of_the_mean_over_labelled_rows() -> None:
    logits = [[0.3, -1.2], [2.0, 0.1], [-0.7, 5.0]]
    labels = [[1.0, 0.0], [NAN, 1.0], [0.0, NAN]]
    expected = 0.0
    for task in range(2):
        losses = []
        for row in range(3):
            chance, label = 1 / (1 + exp(-logits[row][task])), labels[row][task]
            if label == label:
                losses.append(-log(chance) if label else -log(1 - chance))
        expected += sum(losses) / len(losses)
    loss = masked_bce(torch.tensor(logits, dtype=torch.float64), torch.tensor(labels, dtype=torch.float64))
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_a_task_weighs_in_the_sum_what_it_is_given() -> None:
    logits, labels = torch.randn(4, 2), torch.tensor([[1.0, 0.0], [NAN, 1.0], [0.0, NAN], [1.0, 1.0]])
    alone = [masked_bce(logits[:, [task]], labels[:, [task]]).item() for task in range(2)]
    weighted = masked_bce(logits, labels, weights=torch.tensor([1.0, 0.25]))
    assert weighted.item() == pytest.approx(alone[0] + 0.25 * alone[1])


def test_a_missing_label_gives_its_logit_no_gradient() -> None:
    logits = torch.randn(4, 2, requires_grad=True)
    labels = torch.tensor([[1.0, NAN], [NAN, 0.0], [0.0, 1.0], [NAN, NAN]])
    masked_bce(logits, labels).backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad != 0, ~labels.isnan())


def test_a_task_without_labels_adds_nothing_to_loss_and_gradient() -> None:
    logits = torch.randn(4, 2, requires_grad=True)
    labels = torch.tensor([[1.0, NAN], [1.0, NAN], [0.0, NAN], [1.0, NAN]])
    loss = masked_bce(logits, labels)
    loss.backward()
    assert logits.grad is not None
    assert torch.equal(loss, masked_bce(logits[:, :1], labels[:, :1]))
    assert torch.equal(logits.grad[:, 1], torch.zeros(4))


def test_the_loss_is_zero_when_no_label_is_known() -> None:
    logits = torch.randn(3, 2, requires_grad=True)
    loss = masked_bce(logits, torch.full((3, 2), NAN))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros(3, 2))


def test_the_loss_is_finite_when_logits_are_extreme() -> None:
    logits = torch.tensor([[1e4], [-1e4]], requires_grad=True)
    loss = masked_bce(logits, torch.tensor([[0.0], [1.0]]))
    loss.backward()
    assert logits.grad is not None
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


def test_the_loss_is_single_precision_when_logits_are_bfloat16() -> None:
    assert masked_bce(torch.randn(4, 2).bfloat16(), torch.ones(4, 2)).dtype is torch.float32
