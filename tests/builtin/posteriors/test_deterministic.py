import torch
from torch.testing import assert_close

from aerepr.kinds.distributions import Dirac, has_density

from ..building import build, context


def test_the_code_is_the_output_in_every_mode():
    posterior = build("posterior", context(latent_dim=3), name="deterministic")
    params_BDK = torch.randn(5, 3, 1)
    for mode in ("sample", "represent"):
        assert torch.equal(posterior.draw(params_BDK, torch.randn(5), mode), params_BDK[..., 0])
    distribution = posterior(params_BDK)
    assert isinstance(distribution, Dirac)
    assert not has_density(distribution)
    assert (distribution.batch_shape, distribution.event_shape) == ((5,), (3,))
    assert posterior.K == 1


def test_codes_are_at_least_single_precision():
    posterior = build("posterior", context(latent_dim=3), name="deterministic")
    assert_close(posterior.draw(torch.ones(1, 3, 1).bfloat16(), torch.zeros(1), "sample"), torch.ones(1, 3))
