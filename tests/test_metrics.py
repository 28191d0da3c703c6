"""`aerepr.metrics`, the names for notebooks."""

import builtins
import inspect
import subprocess
import sys

import numpy as np
import pytest

from aerepr import metrics
from aerepr.errors import MissingExtra
from aerepr.registry import entrypoints
from aerepr.registry.registry import Registry
from tests.builtin.metrics.arrays import classes, noisy


def test_every_metric_of_arrays_is_a_function_of_its_name():
    shipped = {entry.name for entry in entrypoints.entries("metric") if entry.package == "aerepr"}
    of_codes = {name for name in shipped if Registry().load("metric", name).needs == "codes"}
    assert of_codes <= {name.removesuffix("_generative") for name in metrics.__all__} <= shipped
    for name in metrics.__all__:
        function = getattr(metrics, name)
        assert function.__name__ == name
        assert inspect.getdoc(function)
        assert all(parameter.annotation for parameter in inspect.signature(function).parameters.values())
    assert set(metrics.__all__) <= set(dir(metrics))
    with pytest.raises(AttributeError, match="no attribute 'mgi'"):
        metrics.mgi  # noqa: B018


def test_no_torch_is_needed():
    code = (
        "import sys; import aerepr.metrics; light = set(sys.modules)\n"
        "from aerepr.metrics import mig, dci, sap, irs, independence, latent_responses, udr\n"
        "print('numpy' in light, 'torch' in sys.modules, 'sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]


@pytest.mark.parametrize(
    ("name", "package"),
    [("beta_vae", "scipy"), ("explicitness", "scipy"), ("dci", "joblib"), ("dci", "sklearn"), ("dci_lgbm", "lightgbm")],
)
def test_a_missing_library_is_named_with_the_command_that_installs_it(name, package, monkeypatch):
    function = getattr(metrics, name)
    real = builtins.__import__

    def without(module, *arguments, **keywords):
        if module.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        return real(module, *arguments, **keywords)

    y = classes(90)
    z = np.concatenate([noisy(y)] * 2, axis=1)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r'pip install "aerepr\[metrics\]"'):
        function(z, y)
