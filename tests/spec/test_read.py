"""From TOML to a spec: the override rules as written, every problem at once, phases rescaled."""

import pytest

from aerepr.errors import SpecError
from aerepr.registry.catalogue import FILE_NAME
from aerepr.spec.read import apply_sets, merge, read_spec, spec_from_json, spec_from_tables

RECIPE = """
[[recipes]]
name = "Own-{n}"
summary = "for these tests"
parameters = { n = [2, 4] }

[recipes.model]
latent_dim = 12
encoder = { name = "conv", width = 24, depth = 3 }
decoder = { name = "structural_mlp", variables = "{n}" }
posterior = { name = "gaussian" }
regularizers = [{ name = "kl", weight = 3.0 }]
"""

BASE = """
[model]
recipe = "Own-4"
[data]
name = "rooms"
[train]
steps = 100
"""

PHASES = """
[model]
recipe = "Own-4"
[data]
name = "rooms"
[train]
phases = [{ steps = 75 }, { steps = 25, learn = ["decoder"] }]
[[train.schedules]]
target = "model.regularizers.kl.weight"
from = 0.0
to = 1.0
start = 20
end = 40
"""


@pytest.fixture
def read(tmp_path):
    """Read a spec from text, in a folder with the recipe above."""
    (tmp_path / FILE_NAME).write_text(RECIPE)

    def work(text=BASE, *sets):
        (tmp_path / "spec.toml").write_text(text)
        return read_spec(tmp_path / "spec.toml", sets)

    return work


def problems(work, *arguments):
    """Path and message of every problem."""
    with pytest.raises(SpecError) as caught:
        work(*arguments)
    assert caught.value.exit_code == 2
    return {problem.path: problem.message for problem in caught.value.problems}


# Overrides: defaults < recipe < spec file < --set, left to right.


def test_defaults_fill_what_nobody_says(read):
    spec = read()
    assert spec.train.optimizer.lr == 5e-4
    assert spec.sampler.name == "hybrid"
    assert spec.data.split == (0.7, 0.1, 0.2)


def test_a_recipe_is_above_defaults_and_its_parameter_is_typed(read):
    spec = read()
    assert (spec.model.latent_dim, spec.model.encoder.width, spec.model.decoder.variables) == (12, 24, 4)
    assert spec.model.regularizers[0].weight == 3.0


def test_the_file_is_above_the_recipe_and_tables_merge_key_by_key(read):
    spec = read(BASE + "[model.encoder]\nwidth = 32\n")
    assert (spec.model.encoder.name, spec.model.encoder.width, spec.model.encoder.depth) == ("conv", 32, 3)


def test_set_is_above_the_file(read):
    assert read(BASE, "train.steps=7").train.steps == 7


def test_sets_apply_from_left_to_right(read):
    assert read(BASE, "train.steps=7", "train.steps=8").train.steps == 8


def test_a_set_may_name_the_recipe_and_what_the_file_says_stays_above_it(read):
    text = BASE + "[model.encoder]\nwidth = 32\n"
    spec = read(text, "model.recipe=Own-2")
    assert (spec.model.decoder.variables, spec.model.encoder.width, spec.model.recipe) == (2, 32, "Own-2")


def test_a_component_of_another_name_replaces_the_recipes_whole(read):
    spec = read(BASE + '[model.decoder]\nname = "mlp"\n')
    assert (spec.model.decoder.name, hasattr(spec.model.decoder, "variables")) == ("mlp", False)


def test_a_component_of_the_same_name_merges(read):
    assert read(BASE + '[model.encoder]\nname = "conv"\nwidth = 32\n').model.encoder.depth == 3


@pytest.mark.parametrize(
    "change", ["model.decoder.name=mlp", 'model.decoder={ name = "mlp" }', 'model={ decoder = { name = "mlp" } }']
)
def test_a_set_that_names_another_component_replaces_it_whole(read, change):
    assert read(BASE, change).model.decoder.name == "mlp"


def test_a_set_of_the_same_name_keeps_the_rest(read):
    assert read(BASE, "model.encoder.name=conv").model.encoder.depth == 3


def test_a_set_of_the_specs_own_name_changes_nothing_else(read):
    assert read(BASE, "name=other").model == read().model


def test_another_optimizer_keeps_the_learning_rate(read):
    text = BASE + "[train.optimizer]\nlr = 0.125\n"
    assert read(text, "train.optimizer.name=sgd").train.optimizer.lr == 0.125
    assert merge({"optimizer": {"name": "adam", "lr": 1}}, {"optimizer": {"name": "sgd"}})["optimizer"]["lr"] == 1


def test_a_list_in_the_file_replaces_the_recipes_list(read):
    spec = read(BASE + '[[model.regularizers]]\nname = "kl"\nid = "other"\n')
    assert [(item.id, item.weight) for item in spec.model.regularizers] == [("other", 1.0)]


@pytest.mark.parametrize("clear", ["model.regularizers=[]", "model.regularizers = []"])
def test_an_empty_list_clears_the_recipes_list(read, clear):
    assert read(BASE, clear).model.regularizers == []


def test_arrays_replace_and_do_not_merge(read):
    text = BASE.replace('name = "rooms"', 'name = "rooms"\nsplit = [0.5, 0.25, 0.25]')
    assert read(text, "data.split=[0.8, 0.1, 0.1]").data.split == (0.8, 0.1, 0.1)


def test_a_set_addresses_a_list_item_by_its_id(read):
    items = '[[model.regularizers]]\nname = "kl"\n[[model.regularizers]]\nname = "kl"\nid = "soft"\n'
    spec = read(BASE + items, "model.regularizers.soft.weight=0.5")
    assert [(item.id, item.weight) for item in spec.model.regularizers] == [("kl", 1.0), ("soft", 0.5)]


def test_a_set_on_a_recipes_item_leaves_the_recipe_as_it_was(read):
    assert read(BASE, "model.regularizers.kl.weight=9").model.regularizers[0].weight == 9
    assert read().model.regularizers[0].weight == 3.0


def test_a_set_reaches_tables_that_are_not_there_yet(read):
    assert read(BASE, "evaluation.every=10").evaluation.every == 10


def test_a_bare_word_is_a_string(read):
    assert read(BASE, "train.device=cpu").train.device == "cpu"


def test_a_resolved_spec_takes_sets_too(read):
    assert apply_sets(read(), ["train.steps=300"]).train.steps == 300


# Phases.


def test_without_phases_a_set_of_steps_leaves_schedules_alone(read):
    text = BASE + PHASES[PHASES.index("[[train.schedules]]") :]
    assert read(text, "train.steps=1000").train.schedules[0].end == 40


@pytest.mark.parametrize(
    ("steps", "phases", "ramp"), [(200, [150, 50], (40, 80)), (20, [15, 5], (4, 8)), (2, [1, 1], (1, 2))]
)
def test_a_set_of_steps_rescales_phases_and_schedules(read, steps, phases, ramp):
    train = read(PHASES, f"train.steps={steps}").train
    assert [phase.steps for phase in train.phases] == phases
    assert train.total_steps == steps
    assert (train.schedules[0].start, train.schedules[0].end) == ramp


def test_rescaling_changes_a_sum_that_is_written_out(read):
    assert read(PHASES.replace("phases", "steps = 100\nphases", 1), "train.steps=50").train.steps == 50


def test_steps_must_be_the_sum_of_the_phases(read):
    assert problems(read, PHASES.replace("phases", "steps = 99\nphases", 1)) == {
        "train": "steps = 99 but the phases sum to 100: leave steps out, or make them agree"
    }


def test_too_few_steps_for_the_phases_is_refused(read):
    assert "1 steps cannot hold 2 phases" in problems(read, PHASES, "train.steps=1")["--set train.steps"]


def test_a_phase_is_addressed_by_id_or_position(read):
    text = PHASES.replace("{ steps = 75 }", '{ id = "first", steps = 75 }')
    phases = read(text, "train.phases.first.steps=50", 'train.phases.1.learn=["encoder"]').train.phases
    assert [(phase.id, phase.steps, phase.learn) for phase in phases] == [("first", 50, None), (None, 25, ["encoder"])]
    assert "it has: first, 1" in problems(read, text, "train.phases.last.steps=1")["--set train.phases.last.steps"]
    twice = text.replace("{ steps = 25", '{ id = "first", steps = 25')
    assert problems(read, twice) == {"train": "two phases have one id, of first, first: give each another"}


def test_a_phase_in_which_nothing_learns_is_refused(read):
    assert problems(read, PHASES, "train.phases.1.learn=[]") == {
        "train.phases.1.learn": "a phase in which nothing learns: name parts, or leave `learn` out for all of them"
    }


@pytest.mark.parametrize(
    "text", ['phases = [{ steps = "many" }]', "phases = [3]", "phases = 3", "phases = [{ steps = 5 }]\nschedules = 4"]
)
def test_phases_that_are_none_are_left_to_validation(read, text):
    found = problems(read, BASE.replace("steps = 100", text), "train.steps=10")
    assert any(path.startswith("train") for path in found)


# What is wrong, all of it at once.


def test_every_problem_is_reported_with_path_value_and_expectation(read):
    text = """
    name = "not a name"
    [model]
    recipe = "Own-4"
    latent_dim = -3
    encoder = { width = 0, widht = 3 }
    posterior = { name = "gausian" }
    regularizers = [{ name = "kl", weight = "heavy" }, { weight = 2 }, "kl"]
    [data]
    name = "rooms"
    split = [0.5, 0.1, 0.1]
    [train]
    steps = "many"
    lr = 3
    [[train.schedules]]
    target = "train.optimizer.lr"
    from = 1.0
    """
    found = problems(read, text, "train.nothing.there", "train.steps.x=3", "model.regularizers.tc.weight=1")
    assert found == {
        "--set": 'expected key=value such as train.steps=2000, got "train.nothing.there"',
        "--set train.steps.x": "train.steps is a value, not a table",
        "--set model.regularizers.tc.weight": 'model.regularizers.tc: no item "tc" in this list; it has: kl, 1',
        "name": "must match pattern '^[A-Za-z0-9][A-Za-z0-9._-]*$', got 'not a name'",
        "model.latent_dim": "must be greater than 0, got -3",
        "model.encoder.width": "must be greater than 0, got 0",
        "model.encoder.widht": "unknown key: check the spelling against `aerepr spec schema`, or remove it",
        "model.posterior.name": found["model.posterior.name"],
        "model.regularizers.0.weight": "must be a valid number, got 'heavy'",
        "model.regularizers.1.name": "missing: the name of a regularizer",
        "model.regularizers.2": "expected a table with a name, such as name = \"...\", got 'kl'",
        "data.split": "expected three fractions that sum to 1 with some data to train on, got [0.5, 0.1, 0.1]",
        "train.steps": "must be a valid integer, got 'many'",
        "train.lr": "unknown key: check the spelling against `aerepr spec schema`, or remove it",
        "train.schedules.0": "a linear schedule needs to",
    }
    assert found["model.posterior.name"].startswith(
        'no posterior named "gausian" (did you mean "gaussian"?); installed:'
    )


def test_the_message_lists_the_problems_under_the_file(read, tmp_path):
    with pytest.raises(SpecError) as caught:
        read(BASE, "train.steps=0", "seed=-1")
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{tmp_path / 'spec.toml'}: 2 problems"
    assert lines[1:] == [
        "  seed         must be greater than or equal to 0, got -1",
        "  train.steps  must be greater than 0, got 0",
    ]


def test_an_unknown_recipe_hides_no_other_problem_and_adds_none(read):
    found = problems(read, BASE.replace("Own-4", "Onw-4"), "train.steps=0")
    assert set(found) == {"model.recipe", "train.steps"}
    assert 'no recipe named "Onw-4" (did you mean "Own-4"?)' in found["model.recipe"]


@pytest.mark.parametrize("key", ["model", "data", "train"])
def test_a_table_that_is_a_value_is_one_problem(read, key):
    text = "\n".join([f"{key} = 3", 'name = "x"'])
    assert "got 3" in problems(read, text, "train.batch_size=3" if key != "train" else "seed=1")[key]


def test_a_missing_file_malformed_toml_and_a_folder_are_spec_errors(tmp_path, read):
    assert "no such file" in problems(read_spec, tmp_path / "none.toml")[""]
    assert "cannot be read" in problems(read_spec, tmp_path)[""]
    assert "not valid TOML" in problems(read, "[model\n")[""]
    (tmp_path / "latin.toml").write_bytes(b"name = '\xff'")
    assert "cannot be read" in problems(read_spec, tmp_path / "latin.toml")[""]
    assert "not valid JSON" in problems(spec_from_json, "{", "x")[""]


def test_two_terms_of_one_id_are_refused(read):
    text = BASE + '[[model.regularizers]]\nname = "kl"\n[[model.regularizers]]\nname = "kl"\n'
    assert "two regularizers have the id 'kl'" in problems(read, text)["model"]


def test_tables_are_not_changed_by_reading():
    def tables():
        return {
            "model": {"recipe": "VAE", "encoder": {"width": 8}, "regularizers": [{"name": "kl", "weight": 2.0}]},
            "data": {"name": "rooms"},
            "train": {"phases": [{"steps": 3}, {"steps": 3}]},
        }

    given = tables()
    spec_from_tables(given, ["model.encoder.width=4", "model.regularizers.kl.weight=7", "train.steps=9"])
    assert given == tables()
