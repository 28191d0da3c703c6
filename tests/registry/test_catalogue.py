"""The core's own `registry.toml` against the entry points, and its recipes against the specs they name."""

import pytest

from aerepr.errors import UnknownComponent
from aerepr.registry import entrypoints
from aerepr.registry.catalogue import core_catalogue
from aerepr.registry.registry import Registry
from aerepr.spec.model import ModelSpec

CATALOGUE = core_catalogue()
RECIPES = [example for recipe in CATALOGUE.recipes for example in recipe.examples()]


def test_catalogue_and_entry_points_are_equal():
    noted = [(note.kind, note.name) for note in CATALOGUE.components]
    announced = {
        (e.kind, e.name) for kind in entrypoints.KINDS for e in entrypoints.entries(kind) if e.package == "aerepr"
    }
    assert set(noted) == announced
    assert len(noted) == len(set(noted))


def test_every_component_has_a_summary_of_one_line():
    for note in CATALOGUE.components:
        assert 0 < len(note.summary) < 100, note.name
        assert "\n" not in note.summary


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_names_a_valid_model(name):
    recipe, parameters = Registry().recipe(name)
    tables = recipe.resolve(parameters)
    assert set(tables) in ({"model"}, {"model", "sampler"})
    spec = ModelSpec.model_validate(tables["model"])
    assert spec.decoder.name


def test_the_name_of_a_recipe_carries_its_parameter():
    recipe, parameters = Registry().recipe("SAE-6")
    assert parameters == {"n": 6}
    assert recipe.resolve(parameters)["model"]["decoder"] == {"name": "structural", "variables": 6}


@pytest.mark.parametrize("name", ["SAE-16", "AdaAE-16"])
def test_a_name_in_full_wins_over_a_pattern(name):
    recipe, parameters = Registry().recipe(name)
    assert (recipe.name, parameters) == (name, {})
    assert recipe.resolve(parameters)["model"]["latent_dim"] == 32


def test_beta_vae_differs_from_vae_in_the_weight_alone():
    beta, plain = (Registry().recipe(name)[0].resolve({})["model"] for name in ("beta-VAE", "VAE"))
    assert beta["regularizers"] == [{"name": "kl", "weight": 2.0}]
    assert {**beta, "regularizers": plain["regularizers"]} == plain


def test_a_misspelt_recipe_is_met_with_a_suggestion():
    with pytest.raises(UnknownComponent, match=r'no recipe named "SEA-12" \(did you mean "SAE-12"\?\)'):
        Registry().recipe("SEA-12")
