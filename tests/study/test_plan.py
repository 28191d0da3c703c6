"""A study file becomes its runs, or one error that lists all there is to mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from aerepr.errors import SpecError
from aerepr.study.plan import read_plan


def problems(path: Path) -> dict[str, str]:
    with pytest.raises(SpecError) as caught:
        read_plan(path)
    return {problem.path: problem.message for problem in caught.value.problems}


def test_runs_are_all_combinations_in_order(study_file) -> None:
    plan = read_plan(study_file('[axes]\n"model.latent_dim" = [1, 2]\nseed = [0, 1, 2]'))
    assert plan.axes == {"model.latent_dim": ["1", "2"], "seed": ["0", "1", "2"]}
    assert [run.label for run in plan.runs[:4]] == [
        "model.latent_dim=1 seed=0",
        "model.latent_dim=1 seed=1",
        "model.latent_dim=1 seed=2",
        "model.latent_dim=2 seed=0",
    ]
    assert [(run.spec.model.latent_dim, run.spec.seed) for run in plan.runs[3:5]] == [(2, 0), (2, 1)]
    assert len({run.hash for run in plan.runs}) == 6
    assert {run.spec.name for run in plan.runs} == {"small"}
    # Left out: what `aerepr evaluate` does.
    assert [item.asked() for item in plan.evaluate] == [{"split": "test", "subset": {}, "rows": 15_000, "settings": {}}]


def test_levels_merge_as_specs_do(study_file) -> None:
    """Recipes below [spec], components of another name whole, list items by id, several keys in a named level."""
    plan = read_plan(
        study_file(
            """
[axes]
"model.regularizers.kl.weight" = [1.0, 4.0]
[axes.net.wide.model.encoder]
hidden = [32]
[axes.net.linear]
model.encoder = { name = "mlp", hidden = [] }
train.phases = [{ steps = 5 }, { steps = 5, learn = ["decoder"] }]
""",
            ("steps = 60\n", ""),
            ("[axes]", "[spec.train.optimizer]\nlr = 1e-3\n[axes]"),
            ("[axes.net.wide", "[axes.net.wide.train]\nsteps = 7\n[axes.net.wide"),
        )
    )
    wide, linear = plan.runs[2].spec, plan.runs[3].spec
    assert [run.spec.model.regularizers[0].weight for run in plan.runs] == [1.0, 1.0, 4.0, 4.0]
    assert (wide.model.encoder.hidden, wide.train.total_steps) == ([32], 7)
    assert (linear.model.encoder.hidden, [phase.learn for phase in linear.train.phases]) == ([], [None, ["decoder"]])
    assert linear.train.optimizer.lr == 1e-3


@pytest.mark.parametrize(
    "axes",
    ['"model.recipe" = ["SAE-2", "VAE"]', '[axes.m.a]\nmodel.recipe = "SAE-2"\n[axes.m.b.model]\nrecipe = "VAE"'],
)
def test_a_recipe_lies_below_what_is_shared(study_file, axes) -> None:
    text = '[axes]\n"model.objective.name" = ["elbo"]\n' + axes
    study = study_file(
        text, ('[[spec.model.regularizers]]\nname = "kl"\n', ""), ('posterior = { name = "gaussian" }', "")
    )
    sae, vae = (run.spec for run in read_plan(study).runs)
    assert (sae.model.posterior.name, vae.model.posterior.name) == ("deterministic", "gaussian")
    assert {spec.model.decoder.name for spec in (sae, vae)} == {"mlp"}


def test_every_problem_is_told_at_once_by_its_place_in_the_file(study_file) -> None:
    found = problems(
        study_file(
            """
[axes]
"trian.steps" = [5]
"model.encoder.widht" = [1, 2]
seed = [0, -1]
[axes.data.a]
data.pth = "x"
[axes.data.b]
data = { name = "arry" }
[[evaluate]]
metrics = ["mgi"]
""",
            ("batch_size = 16", "batch_size = 16\nlatent = 3"),
        )
    )
    assert set(found) == {
        'axes."trian.steps"',
        'axes."model.encoder.widht"',
        "axes.seed",
        "axes.data.a.data.pth",
        "axes.data.b.data.name",
        "spec.train.latent",
        "evaluate.0",
    }
    assert 'did you mean "train"?' in found['axes."trian.steps"']
    assert "got -1" in found["axes.seed"]
    assert 'did you mean "array"?' in found["axes.data.b.data.name"]
    assert 'did you mean "mig"?' in found["evaluate.0"]


def test_a_fault_of_some_combinations_names_the_levels(study_file) -> None:
    axes = '[axes]\nseed = [0, 1]\n"train.steps" = [5, 9]\n[axes.p.on]\ntrain.phases = [{ steps = 5 }]\n[axes.p.off]'
    (path, message), *more = problems(study_file(axes)).items()
    assert not more
    assert "phases sum to 5" in message or "cannot hold" in message, message
    assert "seed" not in message
    assert path == "axes.p.on.train"


@pytest.mark.parametrize(
    ("rest", "path", "message"),
    [
        ("[axes]\nseed = []", "axes.seed", "is empty"),
        ("[axes]", "axes", "at least 1"),
        ("", "axes", "missing"),
        ("[axes]\nseed = 3", "axes.seed", "expected a list of values, or tables of keys that are levels, got 3"),
        ("[axes]\nmodel.latent_dim = [1, 2]", '"model.latent_dim" = [...]', ""),
        ('[axes]\nname = ["a", "b"]', "axes.name", "the study's own name"),
        ("[axes]\nseed = [1, 1]", "axes.seed", "has 1 twice"),
        ('[axes]\nseeds = [0]', "axes.seeds", 'unknown key.*did you mean "seed"'),
        ('[axes]\nseed = [0]\n"train.device" = ["cpu", "cuda"]', 'axes."train.device"', "seed=0 train.device=cpu, and seed=0"),
        ("[axes]\nseed = [0]\n[axis]\nx = [1]", "axis", 'unknown key .did you mean "axes"'),
        ("[axes]\nseed = [0]\n[train]\nsteps = 3", "train", r"goes into \[spec\], here train"),
        ("[axes]\nseed = [0]\n[[evaluate]]\nmetric = ['mig']", "evaluate.0.metric", 'did you mean "metrics"'),
        ("[axes]\nseed = [0]\n[[evaluate]]\n[[evaluate]]", "evaluate", "two tables have the same id, or none"),
        ("[axes]\nseed = [0]\n[[evaluate]]\nid = 'a/b'", "evaluate.0.id", "pattern"),
        ("[axes]\nseed = [0]\n[[evaluate]]\nmetrics = ['udr']", "evaluate.0.metrics", "compares several runs"),
        ("[axes]\nseed = [0]\n[[evaluate]]\nmetrics = ['mig']\nsettings.mig.bns = 3", "bns", "unknown setting"),
        ("[axes]\nseed = [0]\n[[evaluate]]\nmetrics = ['mig']\nsettings.sap.x = 3", "evaluate.0", "one of the metrics computed"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_axes_and_evaluation(study_file, rest, path, message) -> None:
    with pytest.raises(SpecError, match=f"(?s){message}") as caught:
        read_plan(study_file(rest))
    assert path in str(caught.value)
    assert len(caught.value.problems) == 1, caught.value


@pytest.mark.parametrize("name", ["a b", "a/b", "..", ""])
def test_a_name_is_that_of_a_folder(study_file, name) -> None:
    (path, message), *more = problems(study_file("[axes]\nseed = [0]", ('"small"', f'"{name}"'))).items()
    assert (path, more) == ("name", [])
    assert "pattern" in message


def test_what_an_empty_axis_may_have_given_is_not_missing(study_file) -> None:
    study = study_file('[axes]\nseed = [0]\n"model.encoder" = []', ('encoder = { name = "mlp", hidden = [8] }\n', ""))
    assert list(problems(study)) == ['axes."model.encoder"']


def test_one_problem_for_an_axis_without_effect(study_file) -> None:
    found = problems(study_file('[axes]\nseed = [0, 1, 2]\n"train.log_every" = [5, 6]'))
    assert list(found) == ['axes."train.log_every"']


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such file"):
        read_plan(tmp_path / "study.toml")
    (tmp_path / "study.toml").write_text("name = ")
    with pytest.raises(SpecError, match="not valid TOML"):
        read_plan(tmp_path / "study.toml")
