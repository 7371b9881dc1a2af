from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from training.layers.routing import RoutedLinear, RoutedMLP, route

GROUPS = st.integers(1, 9).flatmap(
    lambda groups: st.tuples(st.just(groups), st.lists(st.integers(0, groups - 1), min_size=1, max_size=150))
)
HOT = torch.tensor([1] * 96 + [2, 3, 3, 4] * 8)[
    torch.randperm(128, generator=torch.Generator().manual_seed(0))
]
"""128 rows of groups 1 to 4, three quarters of them of group 1."""


class Net(nn.Module):
    """Routes rows through an MLP and a dense layer per group."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.mlp = RoutedMLP(groups, 3, (5, 4))
        self.out = RoutedLinear(groups, 4, 2)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter += torch.randn_like(parameter)

    def forward(self, x: Tensor, group: Tensor) -> Tensor:
        routes = route(group, self.groups)
        return routes.to_rows(self.out(self.mlp(routes.to_tiles(x), routes), routes))


def masked(net: Net, x: Tensor, group: Tensor) -> Tensor:
    """All towers for every row, and all but the row's own masked away: S times the work."""
    hidden = x.expand(net.groups - 1, *x.shape)
    for layer in net.mlp.layers:
        hidden = torch.relu(hidden @ layer.weight + layer.bias.unsqueeze(1))
    everything = hidden @ net.out.weight + net.out.bias.unsqueeze(1)
    own = nn.functional.one_hot(group - 1, net.groups - 1).T.unsqueeze(-1)
    return (everything * own).sum(dim=0)


@settings(max_examples=60)
@given(GROUPS)
def test_every_row_has_a_place_of_its_own_in_a_tile_of_its_group(drawn: tuple[int, list[int]]) -> None:
    groups, members = drawn
    group = torch.tensor(members)
    routes = route(group, groups)
    size = len(routes.row) // len(routes.tile_group)
    assert len(set(routes.place.tolist())) == len(members)
    assert torch.equal(routes.row[routes.place], torch.arange(len(members)))
    assert torch.equal(routes.tile_group[routes.place // size], group)


@settings(max_examples=30)
@given(st.integers(2, 60), st.integers(1, 5000))
def test_places_are_few_more_than_rows(groups: int, rows: int) -> None:
    """At most half as many again, a sixth for up to 8 groups; and two places a tile for rounding."""
    routes = route(torch.zeros(rows, dtype=torch.int64), groups)
    share = 1 / 6 if groups <= 8 else 1 / 2
    assert len(routes.row) <= rows * (1 + share) + 2 * len(routes.tile_group)


def test_rows_come_back_from_tiles_in_their_order() -> None:
    x = torch.randn(128, 3)
    routes = route(HOT, 5)
    assert torch.equal(routes.to_rows(routes.to_tiles(x)), x)


def test_a_routed_layer_gives_each_row_its_own_groups_product() -> None:
    torch.manual_seed(0)
    layer = RoutedLinear(5, 3, 2).double()
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    x = torch.randn(128, 3, dtype=torch.float64)
    routes = route(HOT, 5)
    y = routes.to_rows(layer(routes.to_tiles(x), routes))
    for row, group in enumerate(HOT.tolist()):
        expected = x[row] @ layer.weight[group - 1] + layer.bias[group - 1]
        assert torch.allclose(y[row], expected, rtol=0, atol=1e-14)


def test_routed_rows_equal_all_towers_and_a_mask_in_value_and_gradient() -> None:
    torch.manual_seed(0)
    net = Net(5).double()
    x = torch.randn(128, 3, dtype=torch.float64, requires_grad=True)
    target = torch.randn(128, 2, dtype=torch.float64)
    parameters = [x, *net.parameters()]
    routed, all_towers = net(x, HOT), masked(net, x, HOT)
    assert torch.allclose(routed, all_towers, rtol=0, atol=1e-12)
    gradients = torch.autograd.grad((routed * target).sum(), parameters)
    expected = torch.autograd.grad((all_towers * target).sum(), parameters)
    for gradient, wanted in zip(gradients, expected, strict=True):
        assert torch.allclose(gradient, wanted, rtol=0, atol=1e-11)


def test_a_groups_weights_get_no_gradient_from_rows_of_another() -> None:
    torch.manual_seed(0)
    net = Net(4)
    net(torch.randn(9, 3), torch.tensor([2, 3, 2] * 3)).sum().backward()
    for parameter in net.parameters():
        assert [bool(grad.any()) for grad in parameter.grad] == [False, True, True]


def test_all_groups_start_alike() -> None:
    layer = RoutedLinear(4, 3, 2)
    assert torch.equal(layer.weight, layer.weight[:1].expand(3, -1, -1))
    assert torch.equal(layer.bias, layer.bias[:1].expand(3, -1))


def test_an_unseen_group_takes_the_mean_of_all_others_weights() -> None:
    torch.manual_seed(0)
    layer = RoutedLinear(4, 3, 2).double()
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    x = torch.randn(6, 3, dtype=torch.float64)
    routes = route(torch.tensor([0, 1, 0, 2, 0, 3]), 4)
    y = routes.to_rows(layer(routes.to_tiles(x), routes))
    weight = (layer.weight[0] + layer.weight[1] + layer.weight[2]) / 3
    bias = (layer.bias[0] + layer.bias[1] + layer.bias[2]) / 3
    assert torch.allclose(y[::2], x[::2] @ weight + bias, rtol=0, atol=1e-14)


def test_routing_computes_in_bfloat16_under_autocast() -> None:
    torch.manual_seed(0)
    net, x = Net(5), torch.randn(128, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = net(x, HOT)
        y.square().mean().backward()
    assert y.dtype == torch.bfloat16
    assert torch.allclose(y.float(), net(x, HOT), atol=0.3, rtol=0.05)
    assert all(parameter.grad.dtype == torch.float32 for parameter in net.parameters())


@pytest.mark.parametrize("rows", [1, 7, 300])
def test_an_exported_graph_routes_any_number_of_rows(exported: nn.Module, rows: int) -> None:
    torch.manual_seed(1)
    x, group = torch.randn(rows, 3), torch.randint(0, 5, (rows,))
    assert torch.allclose(exported(x, group), exported.net(x, group), atol=1e-6)


@pytest.fixture(scope="module")
def exported() -> nn.Module:
    """`Net` traced with a dynamic batch, its source beside it as `net`."""
    torch.manual_seed(0)
    net = Net(5).eval()
    rows = {0: torch.export.Dim("rows")}
    program = torch.export.export(
        net, (torch.randn(20, 3), torch.randint(0, 5, (20,))), dynamic_shapes=(rows, rows)
    )
    module = program.module()
    module.net = net
    return module
