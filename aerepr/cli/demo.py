"""`aerepr demo`."""

from __future__ import annotations

from aerepr.cli import output
from aerepr.cli.options import RUNS, Json, Runs, Seed

EXAMPLES = ("aerepr demo", "aerepr demo --seed 1 --runs demo-runs")


def demo(seed: Seed = 0, runs: Runs = RUNS, as_json: Json = False) -> None:
    """Train, sample and export a small model.

    A structural autoencoder learns images that aerepr draws itself; it is then sampled, traversed and exported.
    """
    from aerepr.cli.progress import watch

    with watch() as watcher, output.working():
        from aerepr.workflows.demo import demo as work

        answer = work(runs, seed, watcher)
    output.show(answer, as_json, lambda: output.pairs(answer))
