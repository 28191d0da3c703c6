"""Chunk hybridisation: at each path one run of consecutive variables is redrawn, the rest held at a base code.

The variables are split, in order, into equal chunks (as near as can be). Along a path every dimension of its chunk takes
the value of a stored code, drawn anew for each dimension and each step, so a path shows what its chunk decides.

Source: Leeb et al. 2023, "Structure by Architecture", figure 6a (a quarter of the dimensions, 7 columns).
Shape letters: B base codes, S steps, D latent dimensions, I dimensions of a chunk, N stored codes.
"""

from __future__ import annotations

import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor

from aerepr.errors import ShapeError
from aerepr.kinds.run import RunView
from aerepr.kinds.traversal import Path, Traversal
from aerepr.layers.noise import key_of, uniforms
from aerepr.spec.base import ComponentSpec


class ChunkHybridisationSpec(ComponentSpec):
    """Component `chunks`."""

    chunks: PositiveInt = Field(4, description="into how many chunks the variables are split")
    steps: PositiveInt = Field(7, description="redrawn codes along each path")
    seed: NonNegativeInt = Field(0, description="which stored values are drawn")


class ChunkHybridisation(Traversal):
    """One path for each chunk, in order, for each base code."""

    Spec = ChunkHybridisationSpec

    def __init__(self, spec: ChunkHybridisationSpec) -> None:
        self.chunks = spec.chunks
        self.steps = spec.steps
        self.seed = spec.seed

    def paths(self, run: RunView, base_BD: Tensor) -> list[Path]:
        """Paths labelled with the first and last variable of their chunk.

        Raises:
            ShapeError: there are fewer variables than chunks.
        """
        variables = run.layout.variables
        if self.chunks > len(variables):
            raise ShapeError(f"{len(variables)} variables do not make {self.chunks} chunks: ask for fewer chunks")
        bounds = [len(variables) * i // self.chunks for i in range(self.chunks + 1)]
        codes_ND = run.codes.to(base_BD)
        drawn_SD = self._draw(codes_ND)
        found = []
        for base_D in base_BD:
            for first, last in zip(bounds[:-1], bounds[1:], strict=True):
                members = variables[first:last]
                start, stop = members[0].start, members[-1].stop
                z_SD = base_D.repeat(self.steps, 1)
                z_SD[:, start:stop] = drawn_SD[:, start:stop]
                names = [members[0].name] if len(members) == 1 else [members[0].name, members[-1].name]
                found.append(Path("-".join(names), z_SD))
        return found

    def _draw(self, codes_ND: Tensor) -> Tensor:
        rows_S = torch.arange(self.steps)
        step = torch.zeros((), dtype=torch.int64)
        lots_SD = uniforms(rows_S, codes_ND.shape[1], step, key_of(self.seed, "chunks")).to(codes_ND.device)
        index_SD = (lots_SD * len(codes_ND)).to(torch.int64).clamp(max=len(codes_ND) - 1)
        return codes_ND.gather(0, index_SD)
