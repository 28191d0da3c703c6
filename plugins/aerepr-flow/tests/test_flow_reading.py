"""What reads a run of sequences: the traversal, the metrics, and that what reads first frames goes on working.

Shape letters: B batch, D latent dimensions, K transformations, T steps, S samples.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from aerepr_flow.metrics.equivariance_error import LinearMaps
from aerepr_flow.metrics.sequence_log_likelihood import SequenceLogLikelihood, SequenceLogLikelihoodSpec
from aerepr_flow.objectives.flow import FlowObjective
from aerepr_flow.prediction import WAYS, assigned, first_codes, frame_codes, labels
from numpy.testing import assert_allclose
from PIL import Image
from torch.nn import functional as F
from torch.testing import assert_close
from typer.testing import CliRunner

import aerepr
from aerepr.cli.app import app
from aerepr.conformance.run import CHECKS, check_component
from aerepr.errors import DataError, SpecError, UsageError
from aerepr.evaluation import arrays
from aerepr.evaluation.evaluate import Judged, over
from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.shape import DataShape
from aerepr.model.check import check
from aerepr.registry.registry import Registry
from aerepr.sampling.component import component_spec
from aerepr.sampling.pictures import labelled_rows
from aerepr.spec.read import spec_from_tables
from aerepr.study.plan import read_plan
from aerepr.workflows.assemble import run_source
from aerepr.workflows.load import Run
from aerepr.workflows.train import train

STEPS = 3
OWN = {
    *(("dataset", name) for name in ("factor_sequences", "falor3d", "isaac3d", "transform_sequences")),
    *(("metric", name) for name in ("equivariance_error", "sequence_log_likelihood")),
    ("objective", "single_frame"),
    ("traversal", "flow"),
}
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.toml"))

# Objectives of the runs, by what the tests call them.
OBJECTIVES: dict[str, dict[str, Any]] = {
    "flow": {"name": "flow"},
    "weak": {"name": "flow", "supervision": "weak", "sequence_encoder": {"name": "mlp", "width": 8}},
    "still": {"name": "single_frame"},
    "released": {"name": "flow", "density": "legacy_row_sum", "divergence": "legacy_softmax"},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """A small run with an objective on sequences of bars, or "plain", on the bars. Read it; write products elsewhere."""
    folder = tmp_path_factory.mktemp("flow")
    images = np.zeros((80, 8, 8, 1), np.uint8)
    for row, image in enumerate(images):
        image[1 + row % 3 : 6, 2 + row % 4 : 4 + row % 4] = 255 - row
    np.savez(folder / "bars.npz", images=images, factors=np.stack([np.arange(80) % 3, np.arange(80) % 4], axis=1))
    bars = {"name": "npz", "path": str(folder / "bars.npz"), "images": "images", "factors": "factors"}
    moving = {"name": "transform_sequences", "source": bars, "steps": STEPS, "transforms": ["scale", "rotation"]}

    @cache
    def trained(name: str) -> Run:
        plain = name == "plain"
        model = {
            "latent_dim": 4,
            "encoder": {"name": "mlp", "width": 16},
            "posterior": {"name": "gaussian"},
            "decoder": {"name": "mlp", "width": 16},
            "regularizers": [{"name": "kl"}],
            "objective": {"name": "elbo"} if plain else OBJECTIVES[name],
        }
        tables = {
            "name": name,
            "model": model,
            "data": {**(bars if plain else moving), "gallery": 5, "split": [0.5, 0.0, 0.5]},
            "train": {
                "steps": 20,
                "batch_size": 8,
                "device": "cpu",
                "log_every": 10,
                "validate_every": 20,
                "checkpoint_every": 20,
                "optimizer": {"lr": 1e-2},
            },
        }
        return aerepr.load(train(spec_from_tables(tables), run=folder / name))

    return trained


def objective_of(run: Run) -> FlowObjective:
    objective = run.view.objective
    assert isinstance(objective, FlowObjective)
    return objective


def judged(run: Run) -> Judged:
    source = run_source(run.directory, run.view, run.registry)
    return over(run.view, source, source.rows("test"))


@pytest.mark.parametrize(("kind", "name"), [pair for pair in sorted(OWN) if pair[0] in CHECKS])
def test_conforms(kind: str, name: str) -> None:
    results = check_component(kind, name, Registry())
    assert [f"{result.check}: {result.message}" for result in results if result.failed] == []


# Traversal.


def walked(run: Run, z_D: Any, ks: list[int], sign: int = 1) -> torch.Tensor:
    """Codes after each step, by the flow itself."""
    flow, codes = objective_of(run).flow, [torch.as_tensor(z_D)[None]]
    with torch.no_grad():
        for t, k in enumerate(ks, start=1):
            weights = F.one_hot(torch.tensor([k]), 2).float()
            codes.append(codes[-1] + sign * flow.velocity(codes[-1], torch.tensor([float(t)]), weights))
    return torch.cat(codes)


def test_a_path_goes_back_and_forth_through_the_base_code(trained: Callable[[str], Run]) -> None:
    run = trained("flow")
    rows = run.traverse("flow", base=2)
    assert [row.label for row in rows] == ["scale", "rotation"]
    base = run.encode(run.gallery[2:3])[0]
    for k, row in enumerate(rows):
        assert row.z.shape == (2 * STEPS + 1, 4)
        assert_allclose(row.z[STEPS], base, atol=1e-6)
        assert_allclose(row.z[STEPS:], walked(run, base, [k] * STEPS), atol=1e-6)
        assert_allclose(row.z[STEPS::-1], walked(run, base, [k] * STEPS, sign=-1), atol=1e-6)
        assert_allclose(row.values, run.decode(row.z), atol=1e-6)
        assert np.abs(np.diff(row.z, axis=0)).max() > 1e-4


def test_flows_are_chosen_by_number_or_name_switched_and_superposed(trained: Callable[[str], Run]) -> None:
    run = trained("flow")
    base = run.encode(run.gallery[:1])[0]

    def path(**settings: Any) -> tuple[str, Any]:
        (row,) = run.traverse("flow", direction="forward", **settings)
        return row.label, row.z

    for k in (1, "rotation"):
        label, z = path(k=k, steps=5)
        assert label == "rotation"
        assert_allclose(z, walked(run, base, [1] * 5), atol=1e-6)
    label, z = path(k=1, steps=5, switch=[2, "scale"])
    assert label == "rotation, then scale"
    assert_allclose(z, walked(run, base, [1, 1, 0, 0, 0]), atol=1e-6)
    label, z = path(weights=[0.5, -1.0], steps=1)
    assert label == "0.5 scale + -1 rotation"
    one, other = (walked(run, base, [k])[1] - torch.as_tensor(base) for k in (0, 1))
    assert_allclose(z[1], base + 0.5 * one.numpy() - other.numpy(), atol=1e-6)
    (back,) = run.traverse("flow", direction="backward", k=0)
    assert_allclose(back.z[::-1], walked(run, base, [0] * STEPS, sign=-1), atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"k": 2}, UsageError, "k: expected one of 0 scale, 1 rotation, got 2"),
        ({"k": "rotate"}, UsageError, 'got "rotate" .did you mean "rotation"'),
        ({"k": -1}, SpecError, "k"),
        ({"k": 0, "switch": [1, 7]}, UsageError, "switch: expected one of 0 scale, 1 rotation, got 7"),
        ({"k": 0, "switch": [STEPS, 1]}, UsageError, "switch after 3 of 3 steps leaves none"),
        ({"switch": [1, 1]}, SpecError, "give k too"),
        ({"weights": [1.0]}, UsageError, "weights: expected 2 numbers, one for each of scale, rotation, got 1"),
        ({"weights": [1.0, 0.0], "k": 0}, SpecError, "leave k and switch out"),
        ({"steps": 0}, SpecError, "greater than 0"),
    ],
)
def test_walks_that_cannot_be_meant(
    trained: Callable[[str], Run], settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        trained("flow").traverse("flow", **settings)


def test_runs_without_a_flow_are_told_which_objective_has_one(trained: Callable[[str], Run]) -> None:
    for name, objective in (("still", "single_frame"), ("plain", "elbo")):
        with pytest.raises(
            UsageError, match=f'traversal "flow" needs the objective "flow", and this run has "{objective}"'
        ):
            trained(name).traverse("flow")
    with pytest.raises(
        UsageError, match='needs the objective "flow".*equivariance_error@static, @linear or @linear_direct'
    ):
        trained("still").evaluate(["equivariance_error"])
    with pytest.raises(UsageError, match='needs the objective "flow".*sequence_log_likelihood@static'):
        trained("still").evaluate(["sequence_log_likelihood"])
    for metric in ("equivariance_error@static", "sequence_log_likelihood@static"):
        with pytest.raises(DataError, match="needs sequences, .* has 1 frame.* and 0 labels"):
            trained("plain").evaluate([metric])


def test_the_command_carries_pictures_of_ones_own(trained: Callable[[str], Run], tmp_path: Path) -> None:
    run = trained("flow")
    x = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    np.savez(tmp_path / "others.npz", images=x)
    options = ["--base", "1", "--traversal", "flow", "--set", "k=rotation", "--set", "steps=4"]
    for suffix in ("npz", "gif", "png"):
        out = str(tmp_path / f"w.{suffix}")
        done = CliRunner().invoke(
            app, ["traverse", str(run.path), str(tmp_path / "others.npz"), *options, "--out", out]
        )
        assert done.exit_code == 0, done.output
    with np.load(tmp_path / "w.npz") as found:
        assert_allclose(found["z"][4], run.encode(x[1:2])[0], atol=1e-6)
        assert found["labels"].tolist() == ["rotation"]
    with Image.open(tmp_path / "w.gif") as moving:
        assert (getattr(moving, "n_frames", 1), moving.info["loop"]) == (9, 0)
    with np.load(tmp_path / "w.npz") as found, Image.open(tmp_path / "w.png") as strip:
        expected = labelled_rows([("rotation", np.moveaxis(run.decode(found["z"]), -1, 1))])
        assert_allclose(np.asarray(strip), expected, atol=1)
        assert np.ptp(expected, axis=1).max() > 100


def test_pictures_rendered_of_another_data_set_are_carried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The chain of the README, of a run on one drawn data set and with pictures of another.
    monkeypatch.chdir(tmp_path)
    model = {"recipe": "Flow-small", "encoder": {"width": 4}, "decoder": {"width": 4}}
    few = {f"{name}_hue": [0] for name in ("floor", "wall", "object")}
    data = {
        "name": "transform_sequences",
        "source": {"name": "rooms", "size": 16},
        "steps": 2,
        "gallery": 1,
        "subset": few,
    }
    tables = {"name": "r", "model": model, "data": data, "train": {"steps": 1, "batch_size": 4, "device": "cpu"}}
    run = aerepr.load(train(spec_from_tables(tables), run=tmp_path / "run"))
    render = "data render transform_sequences -n 4 --set source.name=sprites --set source.size=16 --out sprites.npz"
    walk = "traverse run sprites.npz --key images --base 3 --traversal flow --out walk.npz"
    for command in (render, walk):
        done = CliRunner().invoke(app, command.split())
        assert done.exit_code == 0, done.output
    with np.load("sprites.npz") as found, np.load("walk.npz") as walked:
        assert found["images"].shape == (4, 16, 16, 3)
        assert_allclose(walked["z"][2], run.encode(found["images"][3:4])[0], atol=1e-5)
        assert walked["labels"].tolist() == ["scale", "rotation", "hue"]


@pytest.mark.parametrize(
    ("sets", "label", "ks"),
    [
        (["k=1", "switch=[1,0]"], "rotation, then scale", [1, 0, 0]),
        (["weights=[0.5,0.5]"], "0.5 scale + 0.5 rotation", None),
    ],
    ids=["switch", "weights"],
)
def test_the_command_switches_and_superposes(
    trained: Callable[[str], Run], tmp_path: Path, sets: list[str], label: str, ks: list[int] | None
) -> None:
    run, out = trained("flow"), tmp_path / "w.npz"
    options = [part for item in [*sets, "direction=forward"] for part in ("--set", item)]
    done = CliRunner().invoke(app, ["traverse", str(run.path), "--traversal", "flow", *options, "--out", str(out)])
    assert done.exit_code == 0, done.output
    with np.load(out) as found:
        z, labels_of = found["z"], found["labels"].tolist()
    assert labels_of == [label]
    if ks is not None:
        assert_allclose(z, walked(run, z[0], ks), atol=1e-6)
    else:
        flow, z_D = objective_of(run).flow, torch.as_tensor(z[:1])
        with torch.no_grad():
            for t in range(1, STEPS + 1):
                both = flow.velocity(z_D, torch.tensor([float(t)]), torch.tensor([[0.5, 0.5]]))
                z_D = z_D + both
                assert_allclose(z[t : t + 1], z_D, atol=1e-6)


# Equivariance error.


def brute(run: Judged, codes_of: Callable[[Any, Any], list[Any]], way: Any) -> list[float]:
    """E_k of the definition, a sequence at a time; `codes_of` a step and its first codes gives those of all later frames."""
    sums, counts = [0.0, 0.0], [0, 0]
    with torch.no_grad():
        for step in run.encoded():
            frames = codes_of(step, first_codes(run, step)[way])
            for row, label in enumerate(labels(step).tolist()):
                for t, z_BD in enumerate(frames, start=1):
                    mean = run.model.decode(z_BD[row : row + 1])[0]
                    sums[label] += float((mean - step.batch.x[row, t]).abs().sum())
                counts[label] += 1
    return [total / count for total, count in zip(sums, counts, strict=True)]


@pytest.mark.parametrize("way", ["sample", "represent"])
def test_the_error_is_summed_over_steps_and_values_and_averaged_over_sequences(
    trained: Callable[[str], Run], way: str
) -> None:
    run = trained("flow")
    found = run.evaluate(["equivariance_error"], rows=None)
    flow = objective_of(run).flow

    def codes(step: Any, z_BD: torch.Tensor) -> list[torch.Tensor]:
        frames, weights = [], F.one_hot(labels(step), 2).float()
        for t in range(1, STEPS + 1):
            z_BD = flow(z_BD, torch.full((len(z_BD),), float(t)), weights)
            frames.append(z_BD)
        return frames

    expected = brute(judged(run), codes, way)
    for name, value in zip(("scale", "rotation"), expected, strict=True):
        assert found[f"equivariance_error.{way}_{name}"] == pytest.approx(value, rel=1e-4)
    assert found[f"equivariance_error.{way}"] == pytest.approx(np.mean(expected), rel=1e-4)


def test_a_static_code_stays(trained: Callable[[str], Run]) -> None:
    for name in ("flow", "still"):
        run = trained(name)
        found = run.evaluate(["equivariance_error@static"], rows=None)
        expected = brute(judged(run), lambda step, z_BD: [z_BD] * STEPS, "represent")
        assert found["equivariance_error.represent_scale@static"] == pytest.approx(expected[0], rel=1e-4)
        assert found["equivariance_error.represent_rotation@static"] == pytest.approx(expected[1], rel=1e-4)


@pytest.mark.parametrize("direct", [False, True])
def test_linear_maps_are_least_squares_of_the_other_half(trained: Callable[[str], Run], direct: bool) -> None:
    run = judged(trained("still"))
    with torch.no_grad():
        maps = LinearMaps(run, 2, direct)
        (step,) = run.encoded()
        frames = [frame_codes(run, step, t) for t in range(STEPS + 1)]
        z_BD = torch.randn(len(step.z_BD), 4, generator=torch.Generator().manual_seed(0))
        found = {way: list(maps.along(way)(step, z_BD)) for way in WAYS}
    label_B, half_B = labels(step).numpy(), np.arange(len(z_BD)) % 2
    means = np.stack([frame["represent"].double().numpy() for frame in frames])
    assert_allclose(means[1], run.model.posterior.draw(run.model.encoder(step.batch.x[:, 1]), z_BD, "represent"))
    for way in WAYS:
        given = np.stack([frame[way].double().numpy() for frame in frames])
        assert len(found[way]) == STEPS
        for k, half in itertools.product(range(2), range(2)):
            fitted, scored = ((label_B == k) & (half_B == side) for side in (half, 1 - half))
            start = moved = z_BD[torch.from_numpy(scored)].double().numpy()
            for t in range(1, STEPS + 1):
                times = [0] if direct else range(STEPS)
                before = np.concatenate([given[s, fitted] for s in times])
                after = np.concatenate([means[t if direct else s + 1, fitted] for s in times])
                A = np.linalg.lstsq(np.c_[before, np.ones(len(before))], after, rcond=None)[0]
                moved = np.c_[start if direct else moved, np.ones(len(moved))] @ A
                assert_allclose(found[way][t - 1][torch.from_numpy(scored)].numpy(), moved, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("protocol", ["linear", "linear_direct"])
def test_a_dimension_that_is_all_noise_does_not_spoil_linear_maps(trained: Callable[[str], Run], protocol: str) -> None:
    # Its mean barely varies and its draws are N(mean, 1); the decoder ignores it, as one of a trained VAE does. What little it says
    # of the frames is worth a weight of a thousand to maps of codes without noise.
    run = aerepr.load(trained("still").path)
    encoder, decoder = run.view.model.encoder, run.view.model.decoder
    first = next(module for module in decoder.modules() if isinstance(module, torch.nn.Linear))

    def collapsed(_: Any, given: Any, params_BDK: torch.Tensor) -> torch.Tensor:
        params_BDK = params_BDK.clone()
        params_BDK[:, :, 1] = -12.0
        params_BDK[:, 3, 0] = 1e-3 * params_BDK[:, 0, 0].square()
        params_BDK[:, 3, 1] = 0.0
        return params_BDK

    hook = encoder.register_forward_hook(collapsed)
    try:
        with torch.no_grad():
            first.weight[:, 3] = 0
            (step,) = judged(run).encoded()
            assert step.posterior.variance[:, 3].min() == pytest.approx(1, abs=1e-3)
            assert step.z_BD[:, 3].var() < 1e-6
            assert step.posterior.variance[:, :3].max() < 1e-2
            maps = LinearMaps(judged(run), 2, protocol == "linear_direct")
            codes = first_codes(judged(run), step)
            moved = {way: torch.stack(list(maps.along(way)(step, codes[way])))[..., :3] for way in WAYS}
        found = run.evaluate([f"equivariance_error@{protocol}"], rows=None)
    finally:
        hook.remove()
    assert (moved["sample"] - moved["represent"]).square().mean() < moved["represent"].var()
    drawn, still = (found[f"equivariance_error.{way}@{protocol}"] for way in WAYS)
    assert drawn == pytest.approx(still, rel=0.1)


def test_linear_maps_have_keys_of_their_own_and_need_rows_enough(trained: Callable[[str], Run]) -> None:
    names = {f"{way}{end}" for way in WAYS for end in ("", "_scale", "_rotation")}
    for protocol, what in (("linear", "pairs of frames"), ("linear_direct", "sequences")):
        found = trained("still").evaluate([f"equivariance_error@{protocol}"], rows=None)
        assert set(found) == {f"equivariance_error.{name}@{protocol}" for name in names}
        with pytest.raises(DataError, match=f"linear maps of 4 dimensions: found .* {what}"):
            trained("still").evaluate([f"equivariance_error@{protocol}"], rows=2)


def test_folds_are_counted_by_step_and_transformation(trained: Callable[[str], Run]) -> None:
    run = aerepr.load(trained("flow").path)
    assert set(run.evaluate(["equivariance_error"], rows=None).items()) >= {
        (f"equivariance_error.folded_{name}", 0.0) for name in ("scale", "rotation")
    }
    flow, view = objective_of(run).flow, judged(run)
    with torch.no_grad():
        for parameter in (flow.potential.code_KDD, flow.potential.joint_KDD, flow.potential.height_KD):
            parameter.mul_(2.5)
    found = run.evaluate(["equivariance_error"], rows=None)
    bent, seen = [0, 0], [0, 0]
    with torch.no_grad():
        (step,) = view.encoded()
    for z_D, k in zip(first_codes(view, step)["sample"], labels(step).tolist(), strict=True):
        for t in range(1, STEPS + 1):

            def potential(z_D: torch.Tensor, t: int = t, k: int = k) -> torch.Tensor:
                networks = flow.potential.networks()
                return networks.value(z_D[None], networks.shift(torch.tensor([float(t)])))[k, 0]

            hessian_DD = torch.autograd.functional.hessian(potential, z_D)
            bent[k] += int(torch.linalg.eigvalsh(torch.eye(4) + hessian_DD)[0] <= 0)
            seen[k] += 1
            z_D = z_D + torch.autograd.functional.jacobian(potential, z_D)
    assert 0 < sum(bent) < sum(seen)
    for k, name in enumerate(("scale", "rotation")):
        assert found[f"equivariance_error.folded_{name}"] == pytest.approx(bent[k] / seen[k])


def test_potentials_learned_without_labels_are_matched_by_least_total_error() -> None:
    # Row by row the smallest would be column 0 twice.
    assert assigned(np.array([[1.0, 2.0, 9.0], [1.0, 5.0, 9.0], [9.0, 9.0, 3.0]])) == [1, 0, 2]


def test_a_weak_run_is_scored_by_matched_and_by_inferred_potentials(trained: Callable[[str], Run]) -> None:
    run = trained("weak")
    found = run.evaluate(["equivariance_error"], rows=None)
    matched = [int(found[f"equivariance_error.matched_{name}"]) for name in ("scale", "rotation")]
    assert sorted(matched) == [0, 1]
    flow = objective_of(run).flow

    def along(index_of: Callable[[Any], torch.Tensor]) -> Callable[[Any, torch.Tensor], list[torch.Tensor]]:
        def codes(step: Any, z_BD: torch.Tensor) -> list[torch.Tensor]:
            frames, weights = [], F.one_hot(index_of(step), 2).float()
            for t in range(1, STEPS + 1):
                z_BD = flow(z_BD, torch.full((len(z_BD),), float(t)), weights)
                frames.append(z_BD)
            return frames

        return codes

    view = judged(run)

    def by_order(order: tuple[int, int]) -> float:
        return sum(brute(view, along(lambda step: torch.tensor(order)[labels(step)]), "represent"))

    total = {order: by_order(order) for order in ((0, 1), (1, 0))}
    best = min(total, key=total.__getitem__)
    assert 2 * found["equivariance_error.represent"] == pytest.approx(total[best], rel=1e-4)
    assert tuple(matched) == best or total[0, 1] == pytest.approx(total[1, 0], rel=1e-6)
    inferred = brute(view, along(lambda step: objective_of(run).infer_weights(step.batch.x).argmax(-1)), "represent")
    assert found["equivariance_error.inferred_represent_scale"] == pytest.approx(inferred[0], rel=1e-4)


# Likelihood.


def test_one_sample_is_the_log_weight_of_that_sample(trained: Callable[[str], Run]) -> None:
    run = judged(trained("flow"))
    flow = objective_of(trained("flow")).flow
    metric = SequenceLogLikelihood(SequenceLogLikelihoodSpec(name="sequence_log_likelihood", samples=1))
    totals = {"gaussian": 0.0, "trained": 0.0}
    with torch.no_grad():
        found = metric.compute(run)
        for step in run.encoded():
            noise = step.noise("importance0", "normal", (4,))
            z_BD = run.model.posterior.draw(step.params_BDK, noise, "sample")
            weight_B = step.prior.log_prob(z_BD) - step.posterior.log_prob(z_BD)
            for kind in totals:
                totals[kind] += float(weight_B.sum())
            weights = F.one_hot(labels(step), 2).float()
            for t in range(STEPS + 1):
                if t:
                    z_BD = flow(z_BD, torch.full((len(z_BD),), float(t)), weights)
                mean, x = run.model.decode(z_BD), step.batch.x[:, t]
                normal = torch.distributions.Normal(mean, 1.0).log_prob(x)
                totals["gaussian"] += float(normal.sum())
                totals["trained"] += -float(F.binary_cross_entropy(mean, x, reduction="sum"))
    count = len(run.rows) * (STEPS + 1)
    for kind, total in totals.items():
        assert found[f"sequence_log_likelihood.{kind}"] == pytest.approx(total / count, rel=1e-4)


def test_more_samples_tighten_the_bound_which_no_gaussian_exceeds(trained: Callable[[str], Run]) -> None:
    run = judged(trained("flow"))
    found = []
    for samples in (1, 64):
        spec = SequenceLogLikelihoodSpec(name="sequence_log_likelihood", samples=samples)
        with torch.no_grad():
            found.append(SequenceLogLikelihood(spec).compute(run)["sequence_log_likelihood.gaussian"])
    assert found[0] < found[1] < -64 * math.log(2 * math.pi) / 2


@pytest.mark.parametrize("name", ["flow", "released"])
def test_the_released_formula_has_its_densities_the_other_way_round(trained: Callable[[str], Run], name: str) -> None:
    run, objective = judged(trained(name)), objective_of(trained(name))
    found = trained(name).evaluate(["sequence_log_likelihood"], rows=None)
    total = 0.0
    with torch.no_grad():
        for step in run.encoded():
            z_BD = first_codes(run, step)["sample"]
            log_q, log_p = objective.start(z_BD, step.posterior, step.prior)
            weights = F.one_hot(labels(step), 2).float()
            for t in range(1, STEPS):  # the released loop leaves out the last frame
                z_BD, log_q, log_p = objective.densities(z_BD, log_q, log_p, t, weights, step.prior)
                normal = torch.distributions.Normal(run.model.decode(z_BD), 1.0).log_prob(step.batch.x[:, t])
                total += float(normal.sum()) - float(log_p.sum()) + float(log_q.sum())
    expected = total / len(run.rows) / (STEPS - 1)
    assert found["sequence_log_likelihood.legacy_gaussian"] == pytest.approx(expected, rel=1e-4)


def test_a_code_that_rests_has_a_likelihood_too(trained: Callable[[str], Run]) -> None:
    found = trained("still").evaluate(["sequence_log_likelihood@static"], rows=None)
    assert set(found) == {"sequence_log_likelihood.gaussian@static", "sequence_log_likelihood.trained@static"}
    assert all(math.isfinite(value) for value in found.values())


# What reads first frames.


def test_disentanglement_and_hybrid_sampling_are_of_first_frames(trained: Callable[[str], Run]) -> None:
    run = trained("flow")
    found = run.evaluate(["mig", "reconstruction", "rate"], rows=None)
    assert {"mig.score", "reconstruction.mse", "rate.total"} <= set(found)
    source = run_source(run.directory, run.view, run.registry)
    batch = source.batch(torch.from_numpy(source.rows("test")))
    assert batch.timed
    assert batch.factors is not None
    # Codes of the first frames, by the encoder alone, and their factors.
    codes_BD = run.encode(np.moveaxis(batch.x[:, 0].numpy(), 1, -1))
    mig = component_spec(run.registry, "metric", "mig", {})
    assert found["mig.score"] == pytest.approx(
        arrays.compute(mig, codes_BD, batch.factors.numpy(), run.registry)["mig.score"]
    )
    mean = torch.from_numpy(np.moveaxis(run.decode(codes_BD), -1, 1))
    assert found["reconstruction.mse"] == pytest.approx(float((mean - batch.x[:, 0]).square().mean()), rel=1e-4)
    x = run.sample(3, sampler="hybrid")
    assert x.shape == (3, 8, 8, 1)
    assert np.isfinite(x).all()


def test_a_single_frame_is_drawn_from_all(trained: Callable[[str], Run]) -> None:
    view = trained("still").view
    (batch,) = judged(trained("still")).evaluated()
    seen: list[torch.Tensor] = []
    hook = view.model.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        with torch.no_grad():
            terms = view.objective(view.model, view.step(batch, "represent"), lambda step: {})
    finally:
        hook.remove()
    (x,) = seen
    is_frame = (x[:, None] == batch.x).flatten(2).all(dim=2)
    assert bool(is_frame.any(dim=1).all())
    assert set(is_frame.float().argmax(dim=1).tolist()) == set(range(STEPS + 1))
    with torch.no_grad():
        mean = view.model.forward(x)
    assert_close(
        terms["distortion"].raw, F.binary_cross_entropy(mean, x, reduction="sum") / len(x), rtol=1e-4, atol=1e-4
    )


# What ships beside the package.


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_study_files_are_valid(path: Path) -> None:
    plan = read_plan(path)
    assert len(plan.runs) >= 4
    digits = path.stem.startswith("mnist")
    T = plan.runs[0].spec.data.steps  # type: ignore[attr-defined]
    size, names = (28, ("scale", "rotation", "hue")) if digits else (32, ("floor_hue", "scale"))
    info = DataInfo(DataShape.image(3, size, size), train_size=1000, labels=names, frames=T + 1)
    specs = {run.levels["motion"]: run.spec for run in plan.runs if run.levels["seed"] == "0"}
    for spec in specs.values():
        assert check(spec, info).problems == []
    assert [regularizer.weight for regularizer in specs["none"].model.regularizers] == [1.0]
    steps = {motion: spec.train.total_steps for motion, spec in specs.items()}
    assert steps["none"] == steps["flow"]
    if path.stem == "mnist_published":
        assert (steps["flow"], specs["released"].model.objective.divergence) == (90_000, "legacy_softmax")  # type: ignore[attr-defined]
        return
    # "matched" is charged for a code as the flow is, (1 + w T) times for T + 1 frames, and has as many seconds: four times the steps.
    (kl,) = specs["matched"].model.regularizers
    w = specs["flow"].model.objective.divergence_weight  # type: ignore[attr-defined]
    assert w == pytest.approx(1 / T, rel=1e-4)
    assert kl.weight == pytest.approx((1 + w * T) / (T + 1), rel=1e-3)
    assert steps["matched"] == pytest.approx(4 * steps["flow"], rel=0.05)
