"""Tables that are not as every table of a spec is, on posteriors."""

from __future__ import annotations

from pydantic import ConfigDict, Field, PositiveInt
from torch import nn

from aerepr.builtin.posteriors.gaussian import Gaussian, GaussianSpec
from aerepr.errors import PluginError
from aerepr.spec.base import ComponentSpec
from tests.conformance.broken.collected import broken


class Same(Gaussian):
    pass


broken("posterior", "loads")(PluginError("cannot be loaded"))


@broken("posterior", "contract")
class NoContract(nn.Module):
    Spec = ComponentSpec


@broken("posterior", "defaults")
class BadDefault(Same):
    class Spec(GaussianSpec):
        width: PositiveInt = Field(0, description="width")


@broken("posterior", "frozen")
class Thawed(Same):
    class Spec(GaussianSpec):
        model_config = ConfigDict(frozen=False)


@broken("posterior", "unknown_keys")
class Lax(Same):
    class Spec(GaussianSpec):
        model_config = ConfigDict(extra="allow")


@broken("posterior", "descriptions")
class Mute(Same):
    class Spec(GaussianSpec):
        width: int = 3
