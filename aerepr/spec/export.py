"""The table of an exporter, which `aerepr export` fills in: exports are asked for by command, not in a spec."""

from __future__ import annotations

from pydantic import Field

from aerepr.spec.base import ComponentSpec


class ExporterSpec(ComponentSpec):
    """Table of an exporter that can write single parts of a run; one that cannot derives from `ComponentSpec`."""

    parts: tuple[str, ...] = Field(
        (),
        description="decoder, sampler, encoder or entries of the objective; none: decoder, sampler and every entry",
    )
