"""Names: found, misspelt, not installed, not allowed, claimed twice, broken, of another contract version."""

import pytest
from typer.testing import CliRunner

from aerepr.cli.app import app
from aerepr.errors import DuplicateComponent, PluginError, UnknownComponent, UsageError
from aerepr.registry import entrypoints
from aerepr.registry.catalogue import FILE_NAME, plugin_catalogues, user_catalogue
from aerepr.registry.registry import Registry

DECODERS = "aerepr.decoders"
RECIPES = "aerepr.recipes"
EMPTY = "aerepr_api = 1\n"


def registry_with(folder, text):
    (folder / FILE_NAME).write_text(text)
    return Registry.beside(folder)


# What is installed.


def test_an_installed_component_is_listed_and_loaded(install):
    install("my-pack", {DECODERS: {"mine": "my_pack:Part"}})
    registry = Registry()
    assert "mine" in registry.names("decoder")
    assert registry.find("decoder", "mine") == entrypoints.Entry("decoder", "mine", "my_pack:Part", "my-pack", "1.2")
    assert registry.load("decoder", "mine").__name__ == "Part"
    assert ("my-pack", "1.2") in registry.packages()


def test_listing_imports_no_component(install):
    install("my-pack", {DECODERS: {"mine": "my_pack:Part"}}, code="raise RuntimeError('imported')")
    assert "mine" in Registry().names("decoder")


def test_the_core_comes_first_among_packages(install):
    install("aaa-pack", {DECODERS: {"mine": "aaa_pack:Part"}})
    assert Registry().packages()[0][0] == "aerepr"


def test_a_misspelt_name_is_met_with_the_nearest_and_all_that_are_installed():
    with pytest.raises(
        UnknownComponent, match=r'no posterior named "gausian" \(did you mean "gaussian"\?\); installed: '
    ):
        Registry().find("posterior", "gausian")


def test_a_name_that_two_packages_claim_is_an_error_naming_both(install):
    install("pack-a", {DECODERS: {"mine": "pack_a:Part"}})
    install("pack-b", {DECODERS: {"mine": "pack_b:Part"}})
    with pytest.raises(DuplicateComponent, match=r"claimed by pack-a \(pack_a:Part\) and pack-b \(pack_b:Part\)"):
        Registry().load("decoder", "mine")


def test_a_plugin_that_is_known_but_not_installed_says_how_to_install_it(tmp_path):
    text = """
    [[plugins]]
    package = "aerepr-nowhere"
    summary = "not here"
    install = "pip install aerepr-nowhere"
    components = { posterior = ["far_away"] }
    """
    with pytest.raises(
        UnknownComponent, match=r'"far_away" is in registry.toml but not installed: pip install aerepr-no'
    ):
        registry_with(tmp_path, text).find("posterior", "far_away")


# What is broken stops nothing else.


def test_a_component_that_cannot_be_imported_names_package_and_cause(install):
    install("bad-pack", {DECODERS: {"bad": "bad_pack:Part"}}, code="import a_module_that_is_not_there")
    registry = Registry()
    with pytest.raises(
        PluginError, match=r'"bad" of package bad-pack 1\.2 .*ModuleNotFoundError.*a_module_that_is_not_the'
    ):
        registry.load("decoder", "bad")
    assert registry.load("decoder", "conv").Spec


def test_a_target_without_a_spec_is_no_component(install):
    install("odd-pack", {DECODERS: {"odd": "odd_pack:Part"}}, code="class Part: pass")
    with pytest.raises(PluginError, match="odd-pack 1.2.*is no component: it has no class `Spec`"):
        Registry().load("decoder", "odd")


@pytest.mark.parametrize(
    ("catalogue", "message"),
    [
        (None, "announces a registry.toml in bad_pack, which holds none"),
        ("this is = not TOML [", "cannot be read"),
        ("[[components]]\nkind = 'decoder'", "malformed: KeyError 'name'"),
        ("[[components]]\nkind = 'decodor'\nname = 'x'\nsummary = ''", 'no kind "decodor"'),
        ("[[recipes]]\nname = 'X'\nsummary = ''\nparameters = { n = [1] }", "which its name shows in braces"),
    ],
)
def test_a_broken_catalogue_is_reported_and_isolated(install, catalogue, message):
    install("bad-pack", {RECIPES: {"bad": "bad_pack"}}, catalogue)
    (broken,) = [found for found in plugin_catalogues() if found.origin == "bad-pack"]
    assert message in broken.problem
    assert Registry().recipe("VAE")[0].origin == "aerepr"


@pytest.mark.parametrize("value", ["no_such_package", ".relative", "a..b"])
def test_a_catalogue_in_no_package_is_reported(install, value):
    install("bad-pack", {RECIPES: {"bad": value}})
    assert any("holds none" in found.problem for found in plugin_catalogues())


@pytest.mark.parametrize("more", ["", '[[components]]\nkind = "dreamer"\n'])  # what only that version understands
def test_another_contract_version_is_an_error_when_the_component_is_used(install, more):
    install("old-pack", {DECODERS: {"old": "old_pack:Part"}, RECIPES: {"old": "old_pack"}}, f"aerepr_api = 99\n{more}")
    registry = Registry()
    assert "old" in registry.names("decoder")
    with pytest.raises(PluginError, match=r"old-pack 1\.2 was written for contract version 99, this aerepr has 1"):
        registry.load("decoder", "old")


@pytest.mark.parametrize(
    ("model", "named"),
    [
        ('recipe = "VAE"\ndecoder = { name = "old" }', 'decoder "old": package old-pack 1.2'),
        ('recipe = "Old"', '"Old": package old-pack'),
    ],
)
def test_another_contract_version_is_a_problem_of_the_spec_at_the_command_line(install, model, named, tmp_path):
    install(
        "old-pack",
        {DECODERS: {"old": "old_pack:Part"}, RECIPES: {"old": "old_pack"}},
        'aerepr_api = 99\n[[recipes]]\nname = "Old"\nsummary = ""\n[recipes.model]\nlatent_dim = 3',
    )
    path = tmp_path / "spec.toml"
    path.write_text(f'name = "x"\n[data]\nname = "rooms"\n[train]\nsteps = 1\n[model]\n{model}\n')
    done = CliRunner().invoke(app, ["check", str(path)])
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.strip().splitlines()[-1:]
    assert named in line
    assert "was written for contract version 99, this aerepr has 1: install a matching release of either" in line
    assert "Traceback" not in done.stderr


# Catalogues of plugins and of the user.


def test_a_plugin_brings_recipes(install):
    install(
        "my-pack", {RECIPES: {"x": "my_pack"}}, '[[recipes]]\nname = "Mine-{n}"\nsummary = ""\nparameters = { n = [2] }'
    )
    recipe, parameters = Registry().recipe("Mine-7")
    assert (recipe.origin, parameters) == ("my-pack", {"n": 7})


def test_a_users_registry_adds_recipes_beside_its_specs_only(tmp_path):
    registry = registry_with(tmp_path, '[[recipes]]\nname = "Own"\nsummary = "mine"\n[recipes.model]\nlatent_dim = 3\n')
    assert registry.recipe("Own")[0].resolve({}) == {"model": {"latent_dim": 3}}
    assert registry.recipe("VAE")
    with pytest.raises(UnknownComponent):
        Registry().recipe("Own")


def test_a_users_recipe_may_not_take_a_name_that_is_taken(tmp_path):
    registry = registry_with(tmp_path, '[[recipes]]\nname = "VAE"\nsummary = "mine"\n')
    with pytest.raises(DuplicateComponent, match='recipe "VAE" is claimed by aerepr and '):
        registry.recipe("VAE")


def test_a_users_registry_restricts_plugins_but_never_the_core(install, tmp_path):
    install("aerepr-good", {DECODERS: {"good": "aerepr_good:Part"}, RECIPES: {"g": "aerepr_good"}}, EMPTY)
    install("Other_Pack", {DECODERS: {"other": "Other_Pack:Part"}})
    registry = registry_with(tmp_path, '[plugins]\nallow = ["aerepr-good"]\n')
    assert {"good", "conv"} <= set(registry.names("decoder"))
    assert "other" not in registry.names("decoder")
    with pytest.raises(UnknownComponent, match=r'"other" of Other_Pack is not among \[plugins\] allow of '):
        registry.find("decoder", "other")
    # Names of packages compare as indexes compare them.
    assert registry_with(tmp_path, '[plugins]\nallow = ["other-*"]\n').find("decoder", "other")


def test_a_barred_plugin_is_not_called_uninstalled(install, tmp_path):
    install("Other_Pack", {DECODERS: {"other": "Other_Pack:Part"}})
    text = """
    [plugins]
    allow = []
    """
    known = '[[plugins]]\npackage = "Other_Pack"\nsummary = ""\ninstall = "pip"\ncomponents = { decoder = ["other"] }\n'
    install("lister", {RECIPES: {"l": "lister"}}, known)
    with pytest.raises(UnknownComponent, match="not among"):
        registry_with(tmp_path, text).find("decoder", "other")


@pytest.mark.parametrize("text", ["not [ toml", '[plugins]\nallow = "aerepr-*"\n', "[[recipes]]\nsummary = 'x'\n"])
def test_a_users_broken_registry_is_an_error_that_names_the_file(tmp_path, text):
    with pytest.raises(UsageError, match="registry.toml"):
        registry_with(tmp_path, text)


def test_the_catalogue_of_an_installed_package_is_not_taken_for_the_users(install):
    module = install("my-pack", {RECIPES: {"x": "my_pack"}}, EMPTY)
    assert user_catalogue(module) is None


# Work that is not packaged.


def test_the_environment_variable_registers_components(install, monkeypatch):
    install("my-pack", {})
    monkeypatch.setenv(entrypoints.ENVIRONMENT_VARIABLE, "decoders:one=my_pack:Part, samplers:two=my_pack:Part")
    registry = Registry()
    assert registry.load("decoder", "one") is registry.load("sampler", "two")
    assert registry.find("decoder", "one").package == entrypoints.ENVIRONMENT_VARIABLE


@pytest.mark.parametrize(
    "item", ["decoders", "decoders:one", "decoders:one=my_pack", "nonsense:one=a:B", "decoders:=a:B"]
)
def test_a_malformed_environment_variable_says_what_was_found(monkeypatch, item):
    monkeypatch.setenv(entrypoints.ENVIRONMENT_VARIABLE, item)
    with pytest.raises(UsageError, match=f'found "{item}", expected'):
        Registry().names("decoder")


def test_the_environment_does_not_silently_replace_an_installed_component(monkeypatch):
    monkeypatch.setenv(entrypoints.ENVIRONMENT_VARIABLE, "decoders:conv=my_pack:Part")
    with pytest.raises(DuplicateComponent, match="AEREPR_PLUGINS"):
        Registry().find("decoder", "conv")
