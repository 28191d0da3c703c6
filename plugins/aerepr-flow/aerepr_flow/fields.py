"""Scalar fields u^k(z, t) of a code and a time, one for each of K transformations, with their derivatives written out.

    a = tanh(W z + c)      s = V' gelu(V e(t) + d) + d'      b = tanh(U (a + s) + h)      u = tanh(w . b + g)

Every hidden width is D, and e(t) holds the sines and cosines of t at D / 2 frequencies, base 10000, as in the transformer.
With a' = 1 - a^2, b' = 1 - b^2, u' = 1 - u^2, all of a point's derivatives come from two more products with the weights:

    p = U^T (b' w)      r = W^T (a' p)      grad_z u = u' r      d_t u = u' p . s'(t)
    C = diag(-2 a a' p) + diag(a') U^T diag(-2 b b' w) U diag(a')
    Hessian = u' W^T C W - 2 u u' r r^T

They are compositions of products and squares, so they train, export and run where gradients are off. That the Hessian's trace is
u' <C, W W^T> - 2 u u' |r|^2 saves two thirds of the Hessian.

Source: Song et al. 2023, "Flow Factorized Representation Learning", arXiv:2309.13167, as in the authors' code.
Shape letters: B batch, D latent dimensions, K transformations, M networks in use (K, or 1), T times, F frequencies.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aerepr.errors import ShapeError

_BASE = 10_000.0


class Fields(nn.Module):
    """K networks of one shape, stacked: 4 (D^2 + D) + D + 1 parameters each.

    Args:
        count: K. latent_dim: D, even.

    Raises:
        ShapeError: D is odd.
    """

    frequencies_F: Tensor

    def __init__(self, count: int, latent_dim: int) -> None:
        super().__init__()
        if latent_dim % 2:
            raise ShapeError(
                f"a time is embedded as sines and as many cosines: found a latent of {latent_dim} dimensions, expected an even "
                f"number; use latent_dim = {latent_dim + 1}"
            )
        # PyTorch's own start of a linear layer: as far from zero as its number of inputs allows, which is D for all.
        bound = latent_dim**-0.5

        def start(*sizes: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(count, *sizes).uniform_(-bound, bound))

        D = latent_dim
        self.code_KDD, self.code_bias_KD = start(D, D), start(D)
        self.time_KDD, self.time_bias_KD = start(D, D), start(D)
        self.moment_KDD, self.moment_bias_KD = start(D, D), start(D)
        self.joint_KDD, self.joint_bias_KD = start(D, D), start(D)
        self.height_KD, self.height_bias_K = start(D), start()
        frequencies_F = torch.exp(torch.arange(0, D, 2, dtype=torch.float32) * (-math.log(_BASE) / D))
        self.register_buffer("frequencies_F", frequencies_F)

    def networks(self, index_M: Tensor | None = None) -> Networks:
        """The networks of some transformations.

        Args:
            index_M: which, on the device, so that choosing one for a whole batch asks the host nothing; None: all K.
        """

        def chosen(stacked: Tensor) -> Tensor:
            return stacked if index_M is None else stacked.index_select(0, index_M)

        return Networks(
            *(chosen(self.code_KDD), chosen(self.code_bias_KD)),
            *(chosen(self.time_KDD), chosen(self.time_bias_KD)),
            *(chosen(self.moment_KDD), chosen(self.moment_bias_KD)),
            *(chosen(self.joint_KDD), chosen(self.joint_bias_KD)),
            *(chosen(self.height_KD), chosen(self.height_bias_K)),
            self.frequencies_F,
        )


class Networks(NamedTuple):
    """The weights of M networks."""

    code_MDD: Tensor
    code_bias_MD: Tensor
    time_MDD: Tensor
    time_bias_MD: Tensor
    moment_MDD: Tensor
    moment_bias_MD: Tensor
    joint_MDD: Tensor
    joint_bias_MD: Tensor
    height_MD: Tensor
    height_bias_M: Tensor
    frequencies_F: Tensor

    def shift(self, t_T: Tensor) -> Tensor:
        """What each time adds to the first hidden layer, s(t): (M, T, D)."""
        phase_TF = t_T.unsqueeze(-1) * self.frequencies_F
        wave_TD = torch.cat([torch.sin(phase_TF), torch.cos(phase_TF)], dim=-1)
        hidden_MTD = _affine(wave_TD, self.time_MDD, self.time_bias_MD)
        return _affine(F.gelu(hidden_MTD), self.moment_MDD, self.moment_bias_MD)

    def shift_rate(self, t_T: Tensor) -> Tensor:
        """The derivative s'(t): (M, T, D)."""
        phase_TF = t_T.unsqueeze(-1) * self.frequencies_F
        sine_TF, cosine_TF = torch.sin(phase_TF), torch.cos(phase_TF)
        hidden_MTD = _affine(torch.cat([sine_TF, cosine_TF], dim=-1), self.time_MDD, self.time_bias_MD)
        turned_TD = torch.cat([self.frequencies_F * cosine_TF, -self.frequencies_F * sine_TF], dim=-1)
        # gelu(x) = x P(x) with the normal's distribution P, so its slope is P(x) + x times the normal's density.
        below = 0.5 * (1 + torch.erf(hidden_MTD * math.sqrt(0.5)))
        slope_MTD = below + hidden_MTD * torch.exp(-0.5 * hidden_MTD.square()) / math.sqrt(2 * math.pi)
        return (slope_MTD * (turned_TD @ self.time_MDD.mT)) @ self.moment_MDD.mT

    def value(self, z_BD: Tensor, shift_MTD: Tensor) -> Tensor:
        """The fields themselves, (M, B).

        Args:
            shift_MTD: of one time, or of as many as there are codes.
        """
        return self._layers(z_BD, shift_MTD)[2]

    def at(self, z_BD: Tensor, shift_MTD: Tensor) -> Point:
        """The fields at codes, with what their derivatives need; arguments as for `value`."""
        return Point(self, *self._layers(z_BD, shift_MTD))

    def _layers(self, z_BD: Tensor, shift_MTD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a_MBD = torch.tanh(_affine(z_BD, self.code_MDD, self.code_bias_MD))
        b_MBD = torch.tanh(_affine(a_MBD + shift_MTD, self.joint_MDD, self.joint_bias_MD))
        u_MB = torch.tanh((b_MBD * self.height_MD.unsqueeze(1)).sum(dim=-1) + self.height_bias_M.unsqueeze(-1))
        return a_MBD, b_MBD, u_MB


class Point:
    """M fields at B codes: values, gradients and second derivatives, each where it is asked for.

    Args:
        a_MBD, b_MBD: the hidden layers. u_MB: the values.
    """

    def __init__(self, networks: Networks, a_MBD: Tensor, b_MBD: Tensor, u_MB: Tensor) -> None:
        self.networks = networks
        self.a_MBD, self.b_MBD, self.u_MB = a_MBD, b_MBD, u_MB
        self.da_MBD = 1 - a_MBD.square()
        self.db_MBD = (1 - b_MBD.square()) * networks.height_MD.unsqueeze(1)
        self.du_MB = 1 - u_MB.square()
        self.p_MBD = self.db_MBD @ networks.joint_MDD
        self.r_MBD = (self.da_MBD * self.p_MBD) @ networks.code_MDD

    @property
    def gradient_MBD(self) -> Tensor:
        """grad_z u."""
        return self.du_MB.unsqueeze(-1) * self.r_MBD

    def rate(self, shift_rate_MTD: Tensor) -> Tensor:
        """d_t u, (M, B), from the derivative of the shift at the time of this point."""
        return self.du_MB * (self.p_MBD * shift_rate_MTD).sum(dim=-1)

    def row_sums(self) -> Tensor:
        """The sums of the Hessian's rows, (M, B, D): its product with a vector of ones."""
        code_MDD, joint_MDD = self.networks.code_MDD, self.networks.joint_MDD
        pushed_M1D = code_MDD.sum(dim=-1).unsqueeze(1)
        bent_MBD = (self._beta_MBD * ((self.da_MBD * pushed_M1D) @ joint_MDD.mT)) @ joint_MDD
        inner_MBD = (self._alpha_MBD * pushed_M1D + self.da_MBD * bent_MBD) @ code_MDD
        outer_MBD = self._falling_MB.unsqueeze(-1) * self.r_MBD.sum(dim=-1, keepdim=True) * self.r_MBD
        return self.du_MB.unsqueeze(-1) * inner_MBD + outer_MBD

    def curvature(self, v_BD: Tensor) -> Tensor:
        """v . H v of each code's own vector, (M, B)."""
        pushed_MBD = v_BD @ self.networks.code_MDD.mT
        bent_MBD = (self.da_MBD * pushed_MBD) @ self.networks.joint_MDD.mT
        inner_MBD = self._alpha_MBD * pushed_MBD.square() + self._beta_MBD * bent_MBD.square()
        slope_MB = (self.r_MBD * v_BD).sum(dim=-1)
        return self.du_MB * inner_MBD.sum(dim=-1) + self._falling_MB * slope_MB.square()

    def laplacian(self) -> Tensor:
        """The Hessian's trace, (M, B)."""
        code_MDD = self.networks.code_MDD
        gram_MDD = code_MDD @ code_MDD.mT
        diagonal_MB = (self._alpha_MBD * gram_MDD.diagonal(dim1=-2, dim2=-1).unsqueeze(1)).sum(dim=-1)
        # a' (U^T beta U) a' against the Gram matrix of W, without the product of all three.
        bent_MBDD = self._bent() * gram_MDD.unsqueeze(1)
        full_MB = (self.da_MBD * (bent_MBDD @ self.da_MBD.unsqueeze(-1)).squeeze(-1)).sum(dim=-1)
        return self.du_MB * (diagonal_MB + full_MB) + self._falling_MB * self.r_MBD.square().sum(dim=-1)

    def hessian(self) -> Tensor:
        """The second derivatives in z, (M, B, D, D)."""
        code_MDD = self.networks.code_MDD
        core_MBDD = self.da_MBD.unsqueeze(-1) * self._bent() * self.da_MBD.unsqueeze(-2)
        core_MBDD = core_MBDD + torch.diag_embed(self._alpha_MBD)
        # C is symmetric, so W^T C W is the transpose of (C W) times W: each of the two products is one of many rows.
        inner_MBDD = _rows_times(_rows_times(core_MBDD, code_MDD).mT, code_MDD)
        outer_MBDD = self.r_MBD.unsqueeze(-1) * self.r_MBD.unsqueeze(-2)
        return self.du_MB[..., None, None] * inner_MBDD + self._falling_MB[..., None, None] * outer_MBDD

    def _bent(self) -> Tensor:
        """U^T diag(-2 b b' w) U, (M, B, D, D)."""
        joint_MDD = self.networks.joint_MDD
        return _rows_times(joint_MDD.mT.unsqueeze(1) * self._beta_MBD.unsqueeze(-2), joint_MDD)

    @property
    def _alpha_MBD(self) -> Tensor:
        return -2 * self.a_MBD * self.da_MBD * self.p_MBD

    @property
    def _beta_MBD(self) -> Tensor:
        return -2 * self.b_MBD * self.db_MBD

    @property
    def _falling_MB(self) -> Tensor:
        return -2 * self.u_MB * self.du_MB


def _affine(x: Tensor, weight_MDD: Tensor, bias_MD: Tensor) -> Tensor:
    """(M, N, D) of rows (N, D), or of rows of each network's own (M, N, D)."""
    return x @ weight_MDD.mT + bias_MD.unsqueeze(1)


def _rows_times(x_MBDD: Tensor, weight_MDD: Tensor) -> Tensor:
    """Every row of every matrix times its network's weights: one product for each network, not one for each example."""
    return (x_MBDD.flatten(1, 2) @ weight_MDD).view(x_MBDD.shape)
