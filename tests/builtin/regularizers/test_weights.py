"""A weight is a factor of the gradient, not only of a logged number: for every installed regularizer."""

import pytest
import torch
from torch.testing import assert_close

from aerepr.conformance.parts import trainable
from aerepr.conformance.world import LoadOnce, Subject

from ..building import REGISTRY


@pytest.mark.parametrize("name", REGISTRY.names("regularizer"))
def test_the_gradient_follows_the_weight(name, tmp_path):
    note = REGISTRY.note("regularizer", name)
    subject = Subject(
        "regularizer", name, LoadOnce(REGISTRY), tmp_path, example=dict(note.example), beside=dict(note.beside)
    )
    world = subject.scenes(setup=False)[0].world

    def gradient(weight):
        scene = subject.scene(world, weight=weight)
        scene.system.train()
        terms, _ = scene.system.losses(scene.step())
        total = torch.stack([term.weighted for term in terms.values()]).sum()
        found = torch.autograd.grad(total, trainable(scene.model.encoder))
        return torch.cat([g.flatten() for g in found])

    none, once, thrice = (gradient(weight) for weight in (0.0, 1.0, 3.0))
    added = once - none
    assert added.abs().max() > 1e-6
    assert_close(thrice - none, 3 * added, atol=1e-4 * float(none.abs().max()), rtol=1e-3)
