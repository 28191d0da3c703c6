"""Laws of all built-in components that are modules."""

import pytest
import torch

from aerepr.kinds.part import Part
from aerepr.registry import entrypoints
from aerepr.spec.base import is_schedulable

from .building import REGISTRY, context

PARTS = [
    (entry.kind, entry.name)
    for kind in ("encoder", "posterior", "prior", "decoder", "likelihood", "regularizer", "objective", "sampler")
    for entry in entrypoints.entries(kind)
    if entry.package == "aerepr"
]


def component(kind, name):
    found = REGISTRY.load(kind, name)
    shape = (5,) if name == "structural_mlp" else (3, 8, 8)
    layout = REGISTRY.load("decoder", "mlp")(REGISTRY.load("decoder", "mlp").Spec(name="mlp"), context(shape)).layout
    return found(found.Spec(name=name), context(shape, layout=layout))


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_every_default_builds_on_the_meta_device(kind, name):
    with torch.device("meta"):
        built = component(kind, name)
    assert isinstance(built, Part)
    assert all(tensor.is_meta for tensor in built.state_dict().values())


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_schedulable_fields_are_buffers(kind, name):
    spec = REGISTRY.load(kind, name).Spec
    fields = [field for field in spec.model_fields if field != "weight" and is_schedulable(spec, field)]
    for field in fields:
        buffer = dict(component(kind, name).named_buffers())[field]
        assert (buffer.dtype, buffer.shape) == (torch.float32, ())
        assert buffer == getattr(spec(name=name), field)
