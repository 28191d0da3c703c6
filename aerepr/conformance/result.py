"""What a check found, and how a list of checks is run so that one fault is reported once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch

Subject = TypeVar("Subject")


class Broken(Exception):
    """The component breaks its contract; the message says how."""


class Skip(Exception):
    """The check cannot be made here; the message says why. A skipped check has not passed."""


@dataclass(frozen=True)
class Result:
    """One check of one component.

    Attributes:
        message: what is wrong, or why the check was skipped; empty when it passed.
        skipped: the check was not made, so the component has neither passed nor failed it.
    """

    kind: str
    name: str
    check: str
    passed: bool
    message: str = ""
    skipped: bool = False

    @property
    def failed(self) -> bool:
        return not self.passed and not self.skipped


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """One check.

    Attributes:
        name: under which it is reported.
        run: raises `Broken` when the component breaks the contract; any other exception counts as the same.
        after: checks that must have passed, for without them this one would only find their fault again.
    """

    name: str
    run: Callable[[Subject], None]
    after: tuple[str, ...] = ()


def run_checks(kind: str, name: str, subject: Subject, checks: Sequence[Check[Subject]]) -> list[Result]:
    """Every check in order; those that build on one that failed are reported as skipped, those on a skipped one not at all."""
    results: list[Result] = []
    passed: set[str] = set()
    unmade: set[str] = set()
    for check in checks:
        missing = [needed for needed in check.after if needed not in passed]
        if unmade.intersection(check.after):
            unmade.add(check.name)
        elif missing:
            results.append(
                Result(kind, name, check.name, False, f"not made: {missing[0]} has not passed", skipped=True)
            )
        else:
            result = _made(kind, name, subject, check)
            results.append(result)
            if result.passed:
                passed.add(check.name)
            elif result.skipped:
                unmade.add(check.name)
    return results


def _made(kind: str, name: str, subject: Subject, check: Check[Subject]) -> Result:
    try:
        with own_generators():
            check.run(subject)
    except Skip as cause:
        return Result(kind, name, check.name, False, f"skipped: {cause}", skipped=True)
    except Broken as cause:
        return Result(kind, name, check.name, False, str(cause))
    except Exception as cause:  # noqa: BLE001 - a component may fail in any way, and that is the finding
        return Result(kind, name, check.name, False, _said(cause))
    return Result(kind, name, check.name, True)


def require(condition: bool, message: str) -> None:
    """Raise `Broken` with the message unless the condition holds."""
    if not condition:
        raise Broken(message)


@contextmanager
def own_generators() -> Iterator[None]:
    """Start the global generators from one state, and leave them as they were.

    A component that draws from them then draws the same numbers each time: only the check on the generators is to find it.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the legacy state is what is guarded
    with torch.random.fork_rng(devices=[]):
        _seed()
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


@contextmanager
def generators_untouched(what: str) -> Iterator[None]:
    """Raise `Broken` if a global generator was drawn from or seeded."""
    before = _states()
    yield
    for (name, old), (_, new) in zip(before, _states(), strict=True):
        require(old == new, f"{what} draws from or seeds the global generator of {name}: use the noise it is given")


def _seed() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)


def _states() -> list[tuple[str, object]]:
    numpy = np.random.get_state()  # noqa: NPY002
    return [
        ("torch", torch.get_rng_state().numpy().tobytes()),
        ("numpy", (numpy[1].tobytes(), numpy[2])),  # type: ignore[index]
        ("random", random.getstate()),
    ]


def _said(cause: Exception) -> str:
    lines = [line for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {lines[0].strip()}" if lines else type(cause).__name__
