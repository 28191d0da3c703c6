"""Latent responses: what re-encoding sees of a change to one dimension of a code.

With h = encode(decode(.)), a code z and a code z' that takes dimension j from another example's code:

    M_jk = ( E (h(z')_k - h(z)_k)^2 / (2 Var z_k) )^(1/2)

The factor 2 Var z_k is the mean squared difference of two examples' values, so 1 is a change that arrives whole. The
diagonal says how much of a change is seen where it was made: 0 for a dimension that the decoder ignores. Off it is what
the change does to dimensions that were not touched: 0 where dimensions act independently of each other.

    diagonal      mean of M_jj
    off_diagonal  mean of M_jk, j != k
    ratio         off_diagonal / diagonal, infinite where nothing is seen
    unseen        dimensions with M_jj < 0.1

Source: Leeb et al. 2023, "Exploring the latent space of autoencoders with interventional assays", arXiv:2106.16091.
Shape letters: N rows, B rows intervened on, D latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aerepr.data.labelled import Floats, as_codes
from aerepr.errors import DataError
from aerepr.kinds.metric import Metric
from aerepr.spec.base import ComponentSpec
from aerepr.spec.metric import MetricSeed

if TYPE_CHECKING:
    # The function on arrays works without torch, which this would import.
    from aerepr.kinds.run import RunView

ROWS = 256
# Of the change that was made; below it a dimension counts as unseen.
THRESHOLD = 0.1
# Examples whose values are taken, at least where there are so many, and codes decoded at once.
_EXAMPLES, _BATCH = 2_000, 64


@dataclass(frozen=True, eq=False)
class LatentResponses:
    """Attributes: diagonal, off_diagonal, ratio: of the matrix. unseen: dimensions that respond to nothing of their own.

    matrix_DD: row: dimension intervened on; column: dimension that responds. NaN for dimensions that do not vary.
    """

    diagonal: float
    off_diagonal: float
    ratio: float
    unseen: int
    matrix_DD: npt.NDArray[np.float64]


def latent_responses(
    codes: npt.ArrayLike, respond: Callable[[Floats], npt.ArrayLike], *, rows: int = ROWS, seed: int = 0
) -> LatentResponses:
    """Responses to interventions on every dimension.

    Args:
        codes: (N, D), D >= 2. respond: codes (n, D) to codes (n, D), decoded and encoded again, such as
            `lambda z: run.encode(run.decode(z))`. rows: how many of the codes are intervened on. seed: of the choice of
            them and of the other examples.

    Raises:
        DataError: arrays that it is not defined on, or fewer than two dimensions that vary.
    """
    codes_ND = as_codes(codes, dimensions=2)
    N, D = codes_ND.shape
    varies_D = codes_ND.max(axis=0) > codes_ND.min(axis=0)
    if varies_D.sum() < 2:
        raise DataError(
            f"codes: found {int(varies_D.sum())} dimensions that vary, expected at least 2: the others have no other value "
            "to take"
        )
    spread_D = np.where(varies_D, 2 * codes_ND.astype(np.float64).var(axis=0, ddof=1), np.nan)
    generator = np.random.default_rng(seed)
    base_B = generator.permutation(N)[:rows]
    base_BD = codes_ND[base_B]
    before_BD = _responded(respond, base_BD)
    matrix_DD = np.full((D, D), np.nan)
    for dimension in np.flatnonzero(varies_D):
        # Another example's value: never the row's own.
        other_B = (base_B + generator.integers(1, N, size=len(base_B))) % N
        changed_BD = base_BD.copy()
        changed_BD[:, dimension] = codes_ND[other_B, dimension]
        square_D = np.square(_responded(respond, changed_BD) - before_BD).mean(axis=0)
        matrix_DD[dimension] = np.sqrt(square_D / spread_D)
    own_D = np.diag(matrix_DD)[varies_D]
    kept_DD = matrix_DD[np.ix_(varies_D, varies_D)]
    diagonal, off_diagonal = float(own_D.mean()), float(kept_DD[~np.eye(len(kept_DD), dtype=bool)].mean())
    ratio = off_diagonal / diagonal if diagonal > 0 else math.inf
    return LatentResponses(diagonal, off_diagonal, ratio, int((own_D < THRESHOLD).sum()), matrix_DD)


def _responded(respond: Callable[[Floats], npt.ArrayLike], codes_BD: Floats) -> npt.NDArray[np.float64]:
    found_BD = np.asarray(respond(codes_BD.copy()), np.float64)
    if found_BD.shape != codes_BD.shape or not np.isfinite(found_BD).all():
        raise DataError(
            f"respond: found {found_BD.shape} values for codes of shape {codes_BD.shape}, expected finite codes of the same "
            "shape: decode, then encode"
        )
    return found_BD


class LatentResponsesSpec(ComponentSpec):
    """A metric's table with `name = "latent_responses"`."""

    seed: MetricSeed = 0


class LatentResponsesMetric(Metric):
    """`latent_responses.diagonal`, `.off_diagonal`, `.ratio`, `.unseen`."""

    Spec = LatentResponsesSpec
    needs = "run"
    protocol = (
        "one dimension at a time takes the value of another example, is decoded and encoded again; RMS change from the code "
        "decoded and encoded untouched, over the RMS difference of two examples; 256 examples a dimension"
    )

    def __init__(self, spec: LatentResponsesSpec) -> None:
        self.seed = spec.seed

    def responses(self, run: RunView) -> LatentResponses:
        """The numbers and their matrix (D, D), of the rows asked about."""
        import torch

        from aerepr.kinds.batch import Batch

        model, codes, device = run.model, [], torch.device("cpu")
        for step in run.encoded():
            codes.append(step.z_BD.cpu())
            device = step.z_BD.device
            if sum(map(len, codes)) >= _EXAMPLES:
                break

        def respond(codes_BD: Floats) -> npt.ArrayLike:
            found = []
            for z_BD in torch.from_numpy(codes_BD).to(device).split(_BATCH):
                x = model.likelihood.mean(model.decoder(z_BD))
                found.append(model.represent(Batch(x=x, rows=torch.arange(len(x), device=device))).cpu())
            again: npt.ArrayLike = torch.cat(found).numpy()
            return again

        return latent_responses(torch.cat(codes).numpy(), respond, seed=self.seed)

    def compute(self, run: RunView) -> dict[str, float]:
        """The summary of one run."""
        found = self.responses(run)
        self.matrix = found.matrix_DD
        fields = ("diagonal", "off_diagonal", "ratio", "unseen")
        return {f"latent_responses.{field}": float(getattr(found, field)) for field in fields}

    def remarks(self, numbers: Mapping[str, float]) -> list[str]:
        """That dimensions are not seen in what is decoded."""
        unseen = round(numbers["latent_responses.unseen"])
        if not unseen:
            return []
        what = "1 dimension is" if unseen == 1 else f"{unseen} dimensions are"
        return [f"{what} not seen in what is decoded: re-encoding shows less than a tenth of a change made there"]
