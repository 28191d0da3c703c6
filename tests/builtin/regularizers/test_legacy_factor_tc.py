import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from ..building import bare_step, build, context


def legacy(width=16):
    return build("regularizer", context(latent_dim=3), name="legacy_factor_tc", width=width)


def step(z_BD):
    return bare_step(torch.zeros(len(z_BD), 1), z_BD=z_BD)


def test_it_is_the_mean_difference_of_the_published_network():
    module, z = legacy(), torch.randn(10, 3)
    state = {key: value.clone() for key, value in module.discriminator.state_dict().items()}
    x = z
    for i in (0, 3, 6):
        x = F.linear(x, state[f"{i}.weight"], state[f"{i}.bias"])
        # Batch statistics; scale one and shift zero, as they start.
        x = (x - x.mean(dim=0)) / (x.var(dim=0, unbiased=False) + 1e-5).sqrt()
        x = F.mish(x)
    logits = F.linear(x, state["9.weight"], state["9.bias"])
    assert_close(module(step(z)), (logits[:, 0] - logits[:, 1]).mean())


def test_the_default_width_is_the_published_one():
    assert legacy(1000).discriminator[6].weight.shape == (1000, 1000)


def test_nothing_of_it_learns_and_everything_of_it_is_saved():
    module = legacy()
    assert not list(module.parameters())
    assert not list(module.adversary_parameters())
    assert module.extra_batches == 0
    assert {"discriminator.0.weight", "discriminator.9.bias", "discriminator.1.running_mean"} <= set(
        module.state_dict()
    )


def test_its_gradient_reaches_the_codes():
    z = torch.randn(10, 3, requires_grad=True)
    (found,) = torch.autograd.grad(legacy()(step(z)), z)
    assert found.abs().max() > 1e-6


def test_training_sees_codes_relative_to_their_batch_and_validation_does_not():
    module, z = legacy(), torch.randn(10, 3)
    assert_close(module(step(z)), module(step(z + 4)), atol=1e-4, rtol=0)
    module.eval()
    assert abs(module(step(z)) - module(step(z + 4))) > 1e-3


def test_running_statistics_follow_the_codes_in_training_alone():
    module = legacy()
    before = module.discriminator[1].running_mean.clone()
    module.eval()(step(torch.randn(10, 3) + 2))
    assert torch.equal(module.discriminator[1].running_mean, before)
    module.train()(step(torch.randn(10, 3) + 2))
    assert not torch.equal(module.discriminator[1].running_mean, before)


def test_one_code_is_refused_in_training():
    with pytest.raises(ValueError, match="set train.batch_size to 2 or more"):
        legacy()(step(torch.zeros(1, 3)))
