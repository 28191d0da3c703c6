"""`aerepr.load`: a finished run in Python, NumPy in and out.

One convention: images are (N, H, W, C), or (N, H, W) where there is one channel, as uint8 or floats in [0, 1]; vectors are
(N, F) in data units; codes are (N, D). What comes out is float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from aerepr.data.source import Part
from aerepr.errors import UsageError
from aerepr.evaluation import evaluate
from aerepr.evaluation.asked import metric_specs
from aerepr.export.write import export_run
from aerepr.kinds.layout import LatentLayout
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from aerepr.rundir import layout, manifest
from aerepr.rundir.layout import RunDirectory
from aerepr.sampling import sample, traverse
from aerepr.sampling.store import checked_codes
from aerepr.spec.base import ComponentSpec, anchored
from aerepr.spec.run import RunSpec
from aerepr.workflows.assemble import open_run, run_source
from aerepr.workflows.inputs import as_arrays, as_examples

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TraversalRow:
    """One path of a traversal: its label, its codes (S, D), and the decoded examples (S, *shape)."""

    label: str
    z: Floats
    values: Floats


class Run:
    """A finished run, opened from its own files.

    Attributes:
        directory: where everything in it is. view: the model with its sampler and codes, in torch, on the CPU.
        registry: what may be used with it. data: folder in which the spec's data paths start, if the data moved.
    """

    def __init__(self, directory: RunDirectory, view: View, registry: Registry, data: Path | None = None) -> None:
        self.directory = directory
        self.view = view
        self.registry = registry
        self.data = data

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self.view.info.shape}, {self.layout.latent_dim} latent dimensions)"

    @property
    def path(self) -> Path:
        return self.directory.path

    @property
    def spec(self) -> RunSpec:
        return self.view.spec

    @property
    def layout(self) -> LatentLayout:
        return self.view.layout

    @property
    def codes(self) -> Floats:
        """Codes (N, D) of up to 10,000 training examples."""
        codes: Floats = self.view.codes.numpy().copy()
        return codes

    @property
    def gallery(self) -> Floats:
        """The test examples kept with the run; none if `data.gallery` is 0."""
        return as_arrays(self.view.gallery, self.view.info.shape).copy()

    def encode(self, x: ArrayLike) -> Floats:
        """Codes (N, D) of examples.

        Raises:
            ShapeError: sizes other than the model's. DataError: not numbers, not finite, out of range, or no rows.
        """
        examples, _ = as_examples(x, self.view.info.shape, "x")
        codes: Floats = sample.encode(self.view, examples).numpy()
        return codes

    def decode(self, z: ArrayLike) -> Floats:
        """Decoded examples of codes (N, D).

        Raises:
            DataError: not codes of this model, or not finite.
        """
        codes = checked_codes(np.asarray(z), self.layout.latent_dim, "z")
        return as_arrays(sample.decode(self.view, torch.from_numpy(codes)), self.view.info.shape)

    def reconstruct(self, x: ArrayLike) -> Floats:
        """Examples encoded and decoded again.

        Raises:
            as `encode`.
        """
        return self.decode(self.encode(x))

    def sample(
        self, n: int = 64, seed: int = 0, sampler: str | None = None, settings: Mapping[str, Any] | None = None
    ) -> Floats:
        """New examples; the same arguments give the same ones, and the first k of n are those of k.

        Args:
            sampler: left out: the run's own; another is fitted to the run's codes.
            settings: fields of the sampler's table, such as {"size": 1000, "seed": 1} for another bank of "hybrid".

        Raises:
            UsageError: n or seed out of range, or a prior the model was not trained towards.
            UnknownComponent: no sampler of that name. SpecError: a setting is wrong.
        """
        sample.check_draw(n, seed)
        _, chosen = sample.choose_sampler(self.view, sampler, settings or {}, self.registry)
        return as_arrays(sample.draw(self.view, n, seed, chosen).values, self.view.info.shape)

    def traverse(
        self, name: str = "variables", base: int = 0, x: ArrayLike | None = None, **settings: Any
    ) -> list[TraversalRow]:
        """Paths through the latent space from one base code, in decoder order.

        Args:
            base: which example of the gallery; without a gallery, the typical code. x: examples to take the place of the
                gallery. settings: fields of the traversal.

        Raises:
            UnknownComponent: no traversal of that name. SpecError: a setting is wrong. UsageError: no such base.
            ShapeError, DataError: as `encode`.
        """
        chosen, shape = traverse.build_traversal(name, settings, self.registry), self.view.info.shape
        examples = None if x is None else as_examples(x, shape, "x")[0]
        rows = traverse.traverse(self.view, chosen, traverse.base_code(self.view, base, examples))
        return [TraversalRow(row.label, row.z.numpy(), as_arrays(row.values, shape)) for row in rows]

    def evaluate(
        self,
        metrics: Sequence[str] | None = None,
        split: Part = "test",
        subset: Mapping[str, Sequence[int]] | None = None,
        rows: int | None = evaluate.ROWS,
        seed: int | None = None,
    ) -> dict[str, float]:
        """Metrics of the run, "metric.field" to number; needs its data set.

        Args:
            metrics: "metric" or "metric@protocol"; None: all that are defined on this run but those for requests alone,
                with those of its spec.
            split: or "all". subset: class indices by factor, instead of the spec's `data.subset`.
            rows: at most so many, a seeded choice; None: all.
            seed: of that choice and of what metrics draw; None: `data.split_seed`, and what metrics say.

        Raises:
            UnknownComponent: no metric of that name. DataError: the data set is not at hand, or lacks factors.
            UsageError: no such rows, or a metric that this model cannot have.
        """
        specs = self.metric_specs(metrics, seed=seed)
        source = run_source(self.directory, self.view, self.registry, self.data)
        selection = evaluate.Selection(split, subset, rows, seed)
        outcome = evaluate.measure(self.view, source, selection, specs, self.registry)
        if metrics is not None:
            for cause in outcome.refused.values():
                raise cause
        return outcome.numbers

    def metric_specs(
        self, names: Sequence[str] | None = None, settings: Mapping[str, Any] | None = None, seed: int | None = None
    ) -> dict[str, ComponentSpec]:
        """Tables of metrics by label, those of the run's spec with their paths where they are.

        Args: as for `aerepr.evaluation.asked.metric_specs`.
        """
        folder = self.data or Path(manifest.read_env(self.directory)["folder"])
        own = [anchored(spec, folder) for spec in self.spec.evaluation.metrics]
        return metric_specs(self.registry, own, names, settings, seed)

    def export(
        self,
        to: str | Sequence[str] | None = None,
        sampler: str | None = None,
        out: str | Path | None = None,
        settings: Mapping[str, Any] | None = None,
        parts: str | Sequence[str] = (),
        precision: str = "fp32",
    ) -> dict[str, Any]:
        """Write decoder and sampler in formats that other programs run, each verified against this model.

        Args:
            to: names of exporters, or "all": every format that can be made here. Left out: TorchScript
                and ONNX, less what cannot be made.
            sampler: another than the run's own; settings: fields of its table.
            out: folder; left out: `exports/` in the run. What it holds of the same model and sampler stays.
            parts: decoder, sampler, encoder or entries of the objective; none: all but the encoder.
            precision: fp16 stores weights of ONNX files in half the bits.

        Returns:
            `files`, file to purpose, `max_abs_diff`, file to its largest difference from this model, `bytes`, `use`, file to
            how it is called, `rounding`, file with rounded weights to what they lose and gain; `kept` and `dropped` of earlier
            exports, `skipped`, format to why it was left out where none is named, `notices`.

        Raises:
            UnknownComponent, SpecError: as `sample`. UsageError: no format, no such part or precision. ExportError: a format
                failed; the others are written.
        """
        names = ["torchscript", "onnx"] if to is None else [to] if isinstance(to, str) else list(to)
        chosen_parts = [parts] if isinstance(parts, str) else list(parts)
        every = "all" in names
        if every:
            names = self.registry.names("exporter")
        if not names:
            installed = ", ".join(self.registry.names("exporter")) or "none"
            raise UsageError(f'name at least one format to export to, or "all"; installed: {installed}')
        for name in names:
            self.registry.find("exporter", name)
        spec, chosen = sample.choose_sampler(self.view, sampler, settings or {}, self.registry)
        view = self.view
        own = view.spec.model_copy(update={"sampler": spec})
        exported = View(own, view.system, chosen, view.info, view.codes, view.gallery)
        folder = Path(out) if out is not None else self.directory.product("exports")
        return export_run(exported, folder, names, self.registry, chosen_parts, every or to is None, precision)


def load(run: str | Path | None = None, runs: str | Path = "runs", data: str | Path | None = None) -> Run:
    """Open a finished run from its own files.

    Args:
        run: its path or its name; left out: the newest. runs: folder of all runs.
        data: folder in which the spec's data paths start, if the data moved since training; only `evaluate` needs data.

    Raises:
        RunDirectoryError: there is no such run, it has no model yet, or a file is damaged.
        SpecError: a plugin it needs is not installed here.
    """
    directory = layout.find(Path(runs), str(run) if run is not None else None)
    # A registry.toml beside the spec may say which of two packages a name means; where the spec's folder is gone, none does.
    registry = Registry.beside(Path(manifest.read_env(directory)["folder"]))
    folder = Path(data) if data is not None else None
    return Run(directory, open_run(directory, registry, folder), registry, folder)
