"""`aerepr plugins new`: a plugin package that installs, passes its tests and trains as it stands.

The files of `plugin_template/` are what is written, with the package's names put in: `plugin-package`, `plugin_module`
(what is imported), `plugin_name` (the components, as a spec calls them) and `PluginName` (their classes and the recipe).
What depends on the kinds asked for is added here: entry points, catalogue, the example.
"""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aerepr import atomic
from aerepr.errors import UsageError
from aerepr.registry.entrypoints import API_VERSION, KINDS, canonical, group
from aerepr.registry.registry import Registry
from aerepr.spec.write import to_toml
from aerepr.workflows.catalogue import known_kind

TEMPLATE = Path(__file__).with_name("plugin_template")

# What the catalogue says of each component, and where it is from.
SUMMARIES = {
    "encoder": ("one hidden layer beside a linear map", ""),
    "posterior": ("a Laplace distribution in each dimension", ""),
    "prior": ("Laplace dimensions of unit variance: sparse codes", ""),
    "decoder": ("a sum over the latent variables, each decoded by a network of its own", "Lachapelle et al. 2023"),
    "likelihood": ("a Cauchy distribution around each value: forgives those that are far off", ""),
    "regularizer": ("the covariance of the codes is drawn to the identity", "Kumar et al. 2018, arXiv:1711.00848"),
    "objective": ("the ELBO of data that the encoder sees through noise", "Im et al. 2017, arXiv:1511.06406"),
    "sampler": ("points on the lines between two stored codes", ""),
    "traversal": ("straight lines from a base code to codes of the run", ""),
    "dataset": ("grey images of one bright disk of known place and radius", ""),
    "metric": ("participation ratio: how many dimensions the codes take up", ""),
    "exporter": ("the decoder's weights by name, as safetensors", ""),
    "logger": ("every number of training as a line of a CSV file", ""),
}

# The example without components of the package. Linear layers and small pictures: it trains in seconds on any machine.
MODEL: Mapping[str, Any] = {
    "latent_dim": 6,
    "encoder": {"name": "mlp"},
    "posterior": {"name": "gaussian"},
    "prior": {"name": "standard_normal"},
    "decoder": {"name": "mlp"},
    "likelihood": {"name": "bernoulli"},
    "regularizers": [{"name": "kl"}],
    "objective": {"name": "elbo"},
}
TRAIN = {"steps": 1000, "batch_size": 64, "log_every": 100, "optimizer": {"lr": 1e-3}}

# Kinds that make a recipe.
PARTS = (*MODEL, "regularizer")

_PACKAGE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class Names:
    """What the parts of a package are called.

    Attributes:
        package: as indexes and `pip` write it. module: as it is imported.
        component: as a spec calls its components, all of different kinds. title: of classes, and the recipe.
    """

    package: str
    module: str
    component: str
    title: str

    def put_in(self, text: str) -> str:
        """A file of the template with these names."""
        for word, name in {
            "plugin-package": self.package,
            "plugin_module": self.module,
            "plugin_name": self.component,
            "PluginName": self.title,
        }.items():
            text = text.replace(word, name)
        return text


def names_of(package: str) -> Names:
    """The names that follow from a package's: `aerepr-rings` is imported as `aerepr_rings` and offers `rings`.

    Raises:
        UsageError: it is no name of a package, or its module's name is none of Python's or is taken.
    """
    if not _PACKAGE.fullmatch(package):
        raise UsageError(
            f'"{package}" is no name of a package: letters, digits and hyphens between them, such as aerepr-rings'
        )
    name = canonical(package)
    module = name.replace("-", "_")
    component = module.removeprefix("aerepr_")
    for word in (module, component):
        if not word.isidentifier() or keyword.iskeyword(word):
            raise UsageError(f'"{package}" cannot be imported: "{word}" is no name in Python; start with a letter')
    if module in sys.stdlib_module_names or find_spec(module) is not None:
        raise UsageError(f'"{package}" would be imported as "{module}", which is a module here already: choose another')
    return Names(name, module, component, "".join(part.capitalize() for part in component.split("_")))


def new(package: str, kinds: Sequence[str], out: Path | None, registry: Registry) -> tuple[Path, list[str]]:
    """Write a package with one component of each kind.

    Args:
        kinds: at least one. out: the folder to make; by default one of the package's name, here.

    Returns:
        The folder, and its files relative to it.

    Raises:
        UsageError: no kind or an unknown one, a name that cannot be had or is taken, or a folder that is there.
    """
    if not kinds:
        raise UsageError(f"say what it is to hold: --kind decoder, or others of {', '.join(KINDS)}")
    asked = {known_kind(kind) for kind in kinds}
    chosen = [kind for kind in KINDS if kind in asked]
    names = names_of(package)
    for kind in chosen:
        taken = [entry.package for entry in registry.entries(kind) if entry.name == names.component]
        if taken:
            raise UsageError(f'{kind} "{names.component}" is one of {taken[0]} already: choose another name')
    if any(recipe.match(names.title) is not None for recipe in registry.recipes()):
        raise UsageError(f'recipe "{names.title}" is there already: choose another name')
    folder = Path(names.package) if out is None else out
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder}: there already: choose another --out, or delete it first")
    written = files(names, chosen)
    with atomic.folder_aside(folder) as aside:
        for file, text in written.items():
            (aside / file).parent.mkdir(parents=True, exist_ok=True)
            (aside / file).write_text(text, encoding="utf-8")
    return folder, sorted(written)


def files(names: Names, kinds: Sequence[str]) -> dict[str, str]:
    """Every file of the package by its path, with its text."""

    def template(file: str) -> str:
        return names.put_in((TEMPLATE / file).read_text(encoding="utf-8"))

    points = [
        f'[project.entry-points."{group(kind)}"]\n{names.component} = "{names.module}.{kind}:{names.title}{kind.title()}"\n'
        for kind in kinds
    ]
    rows = [f"- {kind} `{names.component}`: {SUMMARIES[kind][0]}. {_use(kind, names)}\n" for kind in kinds]
    return {
        "pyproject.toml": "\n".join([template("pyproject.toml.txt"), *points]),
        "registry.toml": _catalogue(names, kinds),
        "spec.toml": f"# {names.package}: trains as it stands.\n#   aerepr train spec.toml\n"
        + to_toml(_spec(names, kinds)),
        "README.md": template("README.md.txt") + "".join(rows),
        ".github/workflows/test.yml": template("test.yml.txt"),
        ".gitignore": "__pycache__/\n.venv/\ndist/\nruns/\n",
        "tests/test_components.py": template("test_components.py.txt"),
        f"{names.module}/__init__.py": f'"""{names.package}: components for aerepr."""\n',
        f"{names.module}/py.typed": "",
        **{f"{names.module}/{kind}.py": template(f"{kind}.py") for kind in kinds},
    }


def _catalogue(names: Names, kinds: Sequence[str]) -> str:
    components = []
    for kind in kinds:
        summary, source = SUMMARIES[kind]
        components.append({"kind": kind, "name": names.component, "summary": summary})
        if source:
            components[-1]["source"] = source
    tables: dict[str, Any] = {"aerepr_api": API_VERSION, "components": components}
    model = _own(names, kinds)
    if model:
        summary = (
            f"a variational autoencoder with {', '.join(kind for kind in kinds if kind in PARTS)} of {names.package}"
        )
        tables["recipes"] = [{"name": names.title, "summary": summary, "model": {**MODEL, **model}}]
    return "# What each component is, for `aerepr plugins list`, and recipes of them.\n" + to_toml(tables)


def _own(names: Names, kinds: Sequence[str]) -> dict[str, Any]:
    """The parts of `[model]` that are the package's own."""
    own = {"name": names.component}
    found: dict[str, Any] = {kind: own for kind in kinds if kind in MODEL}
    if "regularizer" in kinds:
        found["regularizers"] = [*MODEL["regularizers"], own]
    return found


def _spec(names: Names, kinds: Sequence[str]) -> dict[str, Any]:
    """The example: a run that uses every component that a spec can name."""
    own = {"name": names.component}
    spec: dict[str, Any] = {
        "name": names.component,
        "seed": 0,
        "model": {"recipe": names.title} if _own(names, kinds) else dict(MODEL),
        "data": own if "dataset" in kinds else {"name": "sprites", "size": 16},
        "train": TRAIN,
        "sampler": own if "sampler" in kinds else {"name": "hybrid"},
    }
    if "metric" in kinds:
        spec["evaluation"] = {"metrics": [names.component]}
    if "logger" in kinds:
        spec["loggers"] = [own]
    return spec


def _use(kind: str, names: Names) -> str:
    """How a reader tries a component."""
    commands = {
        "metric": f"`aerepr evaluate --metrics {names.component}`",
        "sampler": f"`aerepr sample --sampler {names.component}`",
        "traversal": f"`aerepr traverse --traversal {names.component}`",
        "exporter": f"`aerepr export --to {names.component}`",
    }
    places = {"regularizer": "[[model.regularizers]]", "dataset": "[data]", "logger": "[[loggers]]"}
    return commands.get(kind, f'In a spec: `{places.get(kind, f"[model.{kind}]")}` with `name = "{names.component}"`.')
