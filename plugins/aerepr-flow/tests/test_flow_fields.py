"""The fields' derivatives and the density rules against autograd, closed forms, and the networks as they are published.

Shape letters: B batch, D latent dimensions, K transformations, M networks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import get_args

import pytest
import torch
from aerepr_flow.density import Rule, log_volume
from aerepr_flow.fields import Fields, Networks, Point
from aerepr_flow.flow import Flow, Mixture, mixed
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from aerepr.errors import ShapeError

B, D, K = 5, 6, 3


@pytest.fixture(autouse=True)
def _own_generator() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def codes(count: int = B) -> Tensor:
    return torch.randn(count, D, dtype=torch.float64)


def fields() -> Fields:
    """Fields far from linear, so that no derivative is near zero."""
    found = Fields(K, D).double()
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.mul_(2)
    return found


def flow() -> Flow:
    found = Flow(K, D).double()
    found.potential = fields()
    return found


def published(networks: Networks, k: int, z_BD: Tensor, t: Tensor) -> Tensor:
    """One field as the specification writes it, (B,)."""
    angles_F = t / 10_000 ** (torch.arange(0, D, 2, dtype=torch.float64) / D)
    wave_D = torch.cat([angles_F.sin(), angles_F.cos()])
    a = torch.tanh(F.linear(z_BD, networks.code_MDD[k], networks.code_bias_MD[k]))
    hidden = F.gelu(F.linear(wave_D, networks.time_MDD[k], networks.time_bias_MD[k]))
    s = F.linear(hidden, networks.moment_MDD[k], networks.moment_bias_MD[k])
    b = torch.tanh(F.linear(a + s, networks.joint_MDD[k], networks.joint_bias_MD[k]))
    return torch.tanh(b @ networks.height_MD[k] + networks.height_bias_M[k])


# Fields.


@pytest.mark.parametrize(("latent_dim", "expected"), [(324, 421_525), (226, 205_435)])
def test_networks_have_the_published_numbers_of_parameters(latent_dim: int, expected: int) -> None:
    with torch.device("meta"):
        found = Fields(2, latent_dim)
    assert sum(parameter.numel() for parameter in found.parameters()) == 2 * expected


def test_values_are_those_of_the_published_networks() -> None:
    networks, z_BD = fields().networks(), codes()
    for time in (0.0, 1.0, 7.0):
        t_1 = torch.tensor([time], dtype=torch.float64)
        expected = torch.stack([published(networks, k, z_BD, t_1[0]) for k in range(K)])
        assert_close(networks.value(z_BD, networks.shift(t_1)), expected, rtol=1e-5, atol=1e-6)


def test_each_code_may_have_a_time_of_its_own() -> None:
    networks, z_BD, t_B = fields().networks(), codes(), torch.arange(B, dtype=torch.float64)
    together = networks.at(z_BD, networks.shift(t_B)).gradient_MBD
    for row in range(B):
        alone = networks.at(z_BD[row : row + 1], networks.shift(t_B[row : row + 1])).gradient_MBD
        assert_close(together[:, row], alone[:, 0])


def test_chosen_networks_are_those_of_all() -> None:
    stacked, z_BD, t_1 = fields(), codes(), torch.ones(1, dtype=torch.float64)
    every, one = stacked.networks(), stacked.networks(torch.tensor([2]))
    assert_close(one.value(z_BD, one.shift(t_1)), every.value(z_BD, every.shift(t_1))[2:])
    assert_close(one.shift_rate(t_1), every.shift_rate(t_1)[2:])


def test_every_derivative_is_that_of_autograd() -> None:
    networks, z_BD = fields().networks(), codes().requires_grad_()
    t_1 = torch.tensor([1.3], dtype=torch.float64, requires_grad=True)
    point = networks.at(z_BD, networks.shift(t_1))
    rate_MB = point.rate(networks.shift_rate(t_1))
    v_BD = codes()
    for k in range(K):
        for row in range(B):

            def value(z_D: Tensor, t: Tensor, k: int = k) -> Tensor:
                return networks.value(z_D.unsqueeze(0), networks.shift(t.view(1)))[k, 0]

            z_D, t = z_BD[row].detach(), t_1[0].detach()
            hessian_DD = torch.autograd.functional.hessian(lambda z_D, t=t: value(z_D, t), z_D)
            gradient_D, rate = torch.autograd.functional.jacobian(value, (z_D, t))
            assert_close(point.gradient_MBD[k, row], gradient_D)
            assert_close(rate_MB[k, row], rate)
            assert_close(point.hessian()[k, row], hessian_DD)
            assert_close(point.row_sums()[k, row], hessian_DD.sum(dim=-1))
            assert_close(point.laplacian()[k, row], hessian_DD.trace())
            assert_close(point.curvature(v_BD)[k, row], v_BD[row] @ hessian_DD @ v_BD[row])
            assert hessian_DD.abs().max() > 1e-3


def test_odd_latents_are_refused() -> None:
    with pytest.raises(ShapeError, match="found a latent of 5 dimensions, expected an even number; use latent_dim = 6"):
        Fields(K, 5)


# The flow.


def test_velocity_is_a_mixture_of_gradients_without_curl() -> None:
    found, z_BD, t_B = flow(), codes(), torch.arange(1.0, B + 1, dtype=torch.float64)
    weights_BK = torch.randn(B, K, dtype=torch.float64)
    networks = found.potential.networks()

    def mixture(z_BD: Tensor) -> Tensor:
        return (weights_BK.mT * networks.value(z_BD, networks.shift(t_B))).sum()

    leaf = z_BD.clone().requires_grad_()
    (expected,) = torch.autograd.grad(mixture(leaf), leaf)
    assert_close(found.velocity(z_BD, t_B, weights_BK), expected)
    assert_close(found(z_BD, t_B, weights_BK), z_BD + expected)
    for row in range(B):
        at = slice(row, row + 1)
        jacobian_DD = torch.autograd.functional.jacobian(
            lambda z_D, at=at: found.velocity(z_D[None], t_B[at], weights_BK[at])[0], z_BD[row]
        )
        assert_close(jacobian_DD, jacobian_DD.mT)
        hessian_DD = mixed(networks.at(z_BD, networks.shift(t_B)).hessian(), weights_BK.mT)[row]
        assert_close(jacobian_DD, hessian_DD)


def test_velocity_needs_no_gradients_and_has_them() -> None:
    found, z_BD, t_1, weights_BK = flow(), codes(), torch.ones(1, dtype=torch.float64), torch.rand(B, K).double()
    with torch.inference_mode():
        without = found.velocity(z_BD, t_1, weights_BK).clone()
    with_gradients = found.velocity(z_BD, t_1, weights_BK)
    assert_close(with_gradients.detach(), without)
    with_gradients.square().sum().backward()
    reached = [
        name for name, parameter in found.named_parameters() if parameter.grad is not None and parameter.grad.any()
    ]
    assert len(reached) == len(list(found.parameters()))


def test_one_label_for_a_batch_uses_one_network() -> None:
    label_B = torch.tensor(2).expand(B)
    shared, single = Mixture.of_labels(label_B, K), Mixture.of_labels(label_B.clone(), K)
    assert shared.index_M is not None
    assert (shared.index_M.tolist(), shared.weights_MB.shape) == ([2], (1, B))
    assert single.index_M is None
    assert_close(single.weights_MB, F.one_hot(label_B, K).mT.float())


def test_a_constant_potential_moves_nothing() -> None:
    found, z_BD, weights_BK = flow(), codes(), torch.ones(B, K, dtype=torch.float64)
    with torch.no_grad():
        found.potential.height_KD.zero_()
    for t in range(1, 5):
        assert_close(found(z_BD, torch.tensor([float(t)]).double(), weights_BK), z_BD)


def nearly_linear(slope_KD: Tensor) -> Flow:
    """Potentials c . z, to eight digits: inside, all is so small that no tanh bends it."""
    found = Flow(K, D).double()
    small = 1e-4
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.zero_()
        found.potential.code_KDD += small * torch.eye(D)
        found.potential.joint_KDD += small * torch.eye(D)
        found.potential.height_KD += slope_KD / small**2
    return found


def test_a_linear_potential_moves_by_its_slope_and_keeps_volumes() -> None:
    slope_KD, z_BD, steps = 1e-4 * torch.randn(K, D).double(), codes(), 6
    found, weights_BK = nearly_linear(slope_KD), torch.eye(K).double()[torch.arange(B) % K]
    networks, moved_BD = found.potential.networks(), z_BD
    for t in range(1, steps + 1):
        t_1 = torch.tensor([float(t)]).double()
        point = networks.at(moved_BD, networks.shift(t_1))
        for rule in get_args(Rule):
            change = log_volume(rule, point, weights_BK.mT)
            assert_close(change, torch.zeros_like(change), rtol=0, atol=1e-6)
        moved_BD = found(moved_BD, t_1, weights_BK)
    travelled_BD = steps * slope_KD[torch.arange(B) % K]
    assert_close(moved_BD - z_BD, travelled_BD, rtol=1e-5, atol=1e-10)


# Density rules.


class Quadratic(Point):
    """The potential z . A z / 2, whose second derivatives are A everywhere."""

    def __init__(self, a_DD: Tensor) -> None:
        self.a_DD = a_DD

    def hessian(self) -> Tensor:
        return self.a_DD[None, None]

    def row_sums(self) -> Tensor:
        return self.a_DD.sum(dim=-1)[None, None]

    def laplacian(self) -> Tensor:
        return self.a_DD.trace()[None, None]

    def curvature(self, v_BD: Tensor) -> Tensor:
        return ((v_BD @ self.a_DD) * v_BD).sum(dim=-1)[None]


ONE = torch.ones(1, 1, dtype=torch.float64)


@pytest.mark.parametrize("scale", [0.5, -0.3, -2.5])
def test_a_quadratic_potential_changes_volumes_by_its_factor(scale: float) -> None:
    point = Quadratic(scale * torch.eye(D, dtype=torch.float64))
    expected = D * math.log(abs(1 + scale))
    assert log_volume("exact", point, ONE).item() == pytest.approx(expected)
    assert log_volume("legacy_row_sum", point, ONE).sum().item() == pytest.approx(expected)
    assert log_volume("laplacian", point, ONE).item() == pytest.approx(math.log(abs(1 + D * scale)))


def test_rules_agree_where_nothing_bends_and_differ_much_elsewhere() -> None:
    flat = Quadratic(torch.zeros(D, D, dtype=torch.float64))
    assert all(log_volume(rule, flat, ONE, [torch.ones(1, D).double()]).abs().max() == 0 for rule in get_args(Rule))
    size = 324
    shared = Quadratic(torch.full((size, size), 1 / size, dtype=torch.float64))
    assert log_volume("exact", shared, ONE).item() == pytest.approx(math.log(2))
    assert log_volume("legacy_row_sum", shared, ONE).sum().item() == pytest.approx(224.6, abs=0.05)
    diagonal = Quadratic(torch.rand(D, dtype=torch.float64).diag())
    exact = log_volume("exact", diagonal, ONE).item()
    assert log_volume("legacy_row_sum", diagonal, ONE).sum().item() == pytest.approx(exact)


def test_each_rule_is_that_of_autograds_jacobian() -> None:
    found, z_BD, weights_BK = flow(), codes(), torch.randn(B, K, dtype=torch.float64)
    t_1 = torch.tensor([2.0], dtype=torch.float64)
    networks = found.potential.networks()
    point = networks.at(z_BD, networks.shift(t_1))
    signs = [torch.tensor(row, dtype=torch.float64).expand(B, D) for row in itertools.product((-1, 1), repeat=D)]
    volumes = {rule: log_volume(rule, point, weights_BK.mT, signs) for rule in get_args(Rule)}
    single = log_volume("hutchinson", point, weights_BK.mT, signs[5:6])
    for row in range(B):
        jacobian_DD = torch.autograd.functional.jacobian(
            lambda z_D, row=row: found(z_D[None], t_1, weights_BK[row : row + 1])[0], z_BD[row]
        )
        bend_DD = jacobian_DD - torch.eye(D, dtype=torch.float64)
        assert_close(volumes["exact"][row], torch.linalg.slogdet(jacobian_DD).logabsdet)
        trace = (1 + bend_DD.trace()).abs().log()
        assert_close(volumes["laplacian"][row], trace)
        # The mean over all sign vectors is the trace itself; without any, the trace is taken.
        assert_close(volumes["hutchinson"][row], trace)
        assert_close(log_volume("hutchinson", point, weights_BK.mT)[row], trace)
        assert_close(single[row], (1 + signs[5][0] @ bend_DD @ signs[5][0]).abs().log())
        assert_close(volumes["legacy_row_sum"][row], (1 + bend_DD.sum(dim=-1)).abs().log())
        assert abs((volumes["exact"][row] - trace).item()) > 1e-4


@pytest.mark.parametrize("rule", get_args(Rule))
def test_rules_teach_the_potential(rule: Rule) -> None:
    found, z_BD = flow(), codes()
    networks = found.potential.networks()
    point = networks.at(z_BD, networks.shift(torch.ones(1, dtype=torch.float64)))
    log_volume(rule, point, torch.ones(K, B).double() / K, [torch.ones(B, D).double()]).sum().backward()
    assert all(p.grad is not None and p.grad.any() and p.grad.isfinite().all() for p in found.parameters())
