"""Structural transform (Str-Tfm): a latent variable scales and shifts the channels of a feature map.

    (beta, logits) = MLP(z),  alpha = exp(logits),  S <- alpha S + beta,

the same for all pixels, with no normalisation of S. A cascade is a learned constant, blocks that refine it, and Str-Tfm
layers between them: the only way from z into the features.

Source: Leeb et al. 2023, "Structure by Architecture", section 3 and the authors' code (beta first, then logits).
Shape letters: N Str-Tfm layers, B batch, I inputs of a layer, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from aerepr.layers.mlp import MLPs, Nonlinearity


class StrTfm(MLPs):
    """N Str-Tfm layers: one MLP each, with weights of its own, whose outputs are read as beta and logits.

    Args:
        count: N. inputs: I, dimensions that each layer sees. hidden: widths of the hidden layers.
        channels: C, channels of the features.
        identity_start: zero the last bias of each MLP, so that alpha starts nearer to 1 and beta to 0.
    """

    def __init__(
        self,
        count: int,
        inputs: int,
        hidden: Sequence[int],
        channels: int,
        nonlinearity: Nonlinearity,
        identity_start: bool = False,
    ) -> None:
        super().__init__(count, inputs, hidden, 2 * channels, nonlinearity)
        if identity_start:
            nn.init.zeros_(self.biases[-1])

    def forward(self, z_NBI: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]  # a pair, read off one tensor
        """Scales and shifts of every layer.

        Args:
            z_NBI: what each layer sees.

        Returns:
            alpha_NBC, positive, and beta_NBC.
        """
        beta_NBC, logits_NBC = super().forward(z_NBI).chunk(2, dim=-1)
        return logits_NBC.exp(), beta_NBC


def modulate(features: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """alpha S + beta, over all pixels of features (B or 1, C, H, W), or of vectors (B or 1, C).

    Args:
        alpha, beta: (B, C, 1, 1), or (B, C).
    """
    # In mixed precision alpha comes in float32 and would promote every feature map that follows.
    return alpha.to(features.dtype) * features + beta.to(features.dtype)


class Cascade(nn.Module):
    """A learned constant, refined by blocks, with a Str-Tfm layer before some of them.

    Args:
        root_size: size of the constant, (C, H, W) or (C,); drawn N(0, 1).
        blocks: what refines it, in order.
        positions: numbers, from 1, of the blocks that a layer precedes; the first must be 1.
        str_tfm: as many layers as positions, for C channels.
    """

    def __init__(
        self, root_size: tuple[int, ...], blocks: nn.ModuleList, positions: Sequence[int], str_tfm: StrTfm
    ) -> None:
        super().__init__()
        # The constant has a batch of one, and only a first layer before block 1 gives it the batch of z.
        assert positions[0] == 1
        self.root = nn.Parameter(torch.randn(root_size))
        self.blocks = blocks
        self.positions = tuple(positions)
        self.str_tfm = str_tfm

    def forward(self, z_NBI: Tensor) -> Tensor:
        """Output of the last block for codes `z_NBI`, one slice a Str-Tfm layer."""
        # Numbers of all layers get their pixels at once: with a batch of one, every small operation shows in the time.
        pixels = (None,) * (self.root.dim() - 1)
        alphas, betas = (numbers_NBC[(..., *pixels)].unbind(0) for numbers_NBC in self.str_tfm(z_NBI))
        layers = iter(zip(alphas, betas, strict=True))
        features = self.root.unsqueeze(0)
        for number, block in enumerate(self.blocks, 1):
            if number in self.positions:
                features = modulate(features, *next(layers))
            features = block(features)
        return features
