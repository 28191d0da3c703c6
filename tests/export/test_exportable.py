"""What is exported, and the check every exported file must pass."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from aerepr.errors import ExportError
from aerepr.layers.conv import MixedFirst, OutputConv
from aerepr.layers.exportable import BATCHES, Decode, Graph, graphs, largest_difference, standalone, value_span, verify
from aerepr.model.view import View


def found(run: View, extra: dict[str, tuple[nn.Module, tuple[Tensor, ...]]] | None = None) -> list[Graph]:
    return graphs(run.model, run.sampler, run.codes, run.info.shape.is_image, extra or {})


def test_decode_is_the_models_without_the_encoder(image_run: View):
    wrapped = Decode(image_run.model)
    names = {name.split(".")[1] for name, _ in wrapped.named_parameters()}
    assert names == {"decoder"}
    assert hasattr(image_run.model, "encoder")
    assert next(wrapped.parameters()) is next(image_run.model.decoder.parameters())


def test_vectors_come_in_data_units(vector_run: View):
    decode = standalone(Decode(vector_run.model))
    z = torch.zeros(3, 6)
    model = vector_run.model
    expected = model.likelihood.mean(model.decoder(z)) * torch.tensor([1.0, 10.0, 0.1, 3.0]) + torch.tensor(
        [5.0, -2.0, 0.0, 100.0]
    )
    torch.testing.assert_close(decode(z), expected.detach())


def test_a_standalone_copy_leaves_the_model_as_it_was(toy: ModuleType):
    run = toy.image_run()
    run.system.train()
    run.model.decoder.norm.eval()
    before = [module.training for module in run.system.modules()]
    copy = standalone(Decode(run.model))
    assert not any(module.training for module in copy.modules())
    assert not any(parameter.requires_grad for parameter in copy.parameters())
    assert [module.training for module in run.system.modules()] == before
    assert all(parameter.requires_grad for parameter in run.system.parameters())
    assert next(copy.parameters()).data_ptr() != next(run.model.decoder.parameters()).data_ptr()


def test_files_hold_the_same_function_at_less_cost():
    decoder = nn.Sequential(nn.Conv2d(3, 64, 3), OutputConv(64, 3, "bilinear"))
    graph = Graph("decoder", "", standalone(decoder), {"z": torch.randn(64, 3, 6, 6)}, {}, (1.0,))
    assert isinstance(graph.written[1], MixedFirst)
    assert not any(parameter.requires_grad for parameter in graph.written.parameters())
    # What files are held against is the model as it was trained.
    assert isinstance(graph.module[1], OutputConv)
    assert verify(graph, lambda inputs: [graph.written(*inputs)]) < 1e-6
    count = sum(value.numel() for value in graph.module.state_dict().values())
    assert sum(value.numel() for value in graph.written.state_dict().values()) == count


def test_largest_difference_is_relative_to_the_range():
    a, b = torch.tensor([0.0, 1.0]), torch.tensor([0.5, 1.0])
    assert largest_difference(a, b, 2.0) == 0.25
    assert largest_difference(a, torch.tensor([float("nan"), 1.0]), 1.0) == float("inf")
    with pytest.raises(ExportError, match=r"shape \(2,\), got \(1,\)"):
        largest_difference(a, b[:1], 1.0)


def test_value_span_includes_zero():
    assert value_span(torch.tensor([2.0, 5.0])) == 5
    assert value_span(torch.tensor([-2.0, 5.0])) == 7
    assert value_span(torch.zeros(2)) == 1


def test_verify_runs_every_batch_size_and_returns_the_worst(image_run: View):
    decoder = found(image_run)[0]
    seen = []

    def off(inputs: tuple[Tensor, ...]) -> list[Tensor]:
        seen.append(len(inputs[0]))
        return [decoder.module(*inputs) + (3e-6 if len(inputs[0]) == 7 else 0.0)]

    assert verify(decoder, off) == pytest.approx(3e-6, rel=0.1)
    assert seen == list(BATCHES) == [1, 7, 64]


@pytest.mark.parametrize("batch", BATCHES)
def test_verify_refuses_a_difference_at_any_batch_size(image_run: View, batch: int):
    decoder = found(image_run)[0]
    with pytest.raises(ExportError, match=f"batch size {batch}"):
        verify(decoder, lambda inputs: [decoder.module(*inputs) + (2e-5 if len(inputs[0]) == batch else 0.0)])


class Spread(nn.Module):
    """A variance that cancels almost all of its digits; `single`: with a part that knows single precision alone."""

    def __init__(self, single: bool = False) -> None:
        super().__init__()
        self.single = single

    def forward(self, x: Tensor) -> Tensor:
        if self.single:
            x = x @ torch.eye(x.shape[1])
        return x.square().mean(dim=1) - x.mean(dim=1).square()


def test_a_copy_that_rounds_less_than_the_eager_module_is_right():
    x = 100 + torch.rand(64, 5, generator=torch.Generator().manual_seed(0))

    def graph(module: nn.Module) -> Graph:
        return Graph("spread", "numbers to their variance", module, {"x": x}, {"variance": module(x)}, (0.3,))

    def right(inputs: tuple[Tensor, ...]) -> list[Tensor]:
        return [inputs[0].double().var(dim=1, correction=0).float()]

    eager = largest_difference(Spread()(x), right((x,))[0], 0.3)
    assert eager > 1e-3
    assert verify(graph(Spread()), right) < 1e-6
    with pytest.raises(ExportError, match="differs from the eager model by 2.0e-05"):
        verify(graph(Spread()), lambda inputs: [right(inputs)[0] + 0.3 * 2e-5])
    with pytest.raises(ExportError, match="differs from the eager model"):
        verify(graph(Spread(single=True)), right)


def test_verify_refuses_nan_and_failure(image_run: View):
    decoder = found(image_run)[0]
    with pytest.raises(ExportError, match="differs from the eager model by inf"):
        verify(decoder, lambda inputs: [decoder.module(*inputs) * float("nan")])
    with pytest.raises(ExportError, match="decoder fails at batch size 1: no"):
        verify(decoder, lambda inputs: (_ for _ in ()).throw(ValueError("no")))


def test_a_diverged_model_is_refused(toy: ModuleType):
    run = toy.image_run()
    with torch.no_grad():
        run.model.decoder.stem.weight[0, 0] = float("nan")
    with pytest.raises(ExportError, match="decoder gives values that are not finite"):
        found(run)


@pytest.mark.parametrize("name", ["decoder", "../x", "two words"])
def test_an_entry_needs_a_name_of_its_own(image_run: View, name: str):
    with pytest.raises(ExportError, match="use another identifier"):
        found(image_run, {name: (nn.Identity(), (torch.zeros(2, 6),))})


def test_entries_have_the_names_of_their_arguments(image_run: View):
    velocity = found(image_run, image_run.objective.exports())[-1]
    assert list(velocity.inputs) == ["z", "t"]
    assert list(velocity.outputs) == ["output0", "output1"]
    assert [value.shape for value in velocity.example(7)] == [(7, 6), ()]
