"""The errors a user can meet, one type per thing a user can fix.

The command line prints these without a traceback and exits with their `exit_code`: 2 for a spec or the way a command
was called, 1 for work that failed. Every message says what was found, where, what was expected and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class AereprError(Exception):
    """Base of every error that is the user's to fix."""

    exit_code = 1


class AereprWarning(UserWarning):
    """Something a user should know that stops nothing. The command line prints it in one line."""


class UsageError(AereprError):
    """A command or a function was called in a way that cannot work."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a spec: its dotted path and what was found and expected there."""

    path: str
    message: str


class SpecError(AereprError):
    """A spec that cannot be used. Carries every problem found, not only the first."""

    exit_code = 2

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        count = len(self.problems)
        width = max((len(problem.path) for problem in self.problems), default=0)
        lines = [f"{source}: {count} problem{'s' if count != 1 else ''}"]
        lines += [f"  {problem.path:<{width}}  {problem.message}" for problem in self.problems]
        super().__init__("\n".join(lines))


class UnknownComponent(AereprError):
    """No installed package offers a component (or recipe) of that name."""

    exit_code = 2


class DuplicateComponent(AereprError):
    """Two packages claim one name."""

    exit_code = 2


class PluginError(AereprError):
    """An installed plugin cannot be loaded, or was written for another version of the contracts."""


class ShapeError(AereprError):
    """Sizes that cannot go together."""

    exit_code = 2


class DataError(AereprError):
    """A data file that is missing, damaged, or not what the spec says it is."""


class RunDirectoryError(AereprError):
    """A run directory that is missing, damaged, or in the way."""


class CheckpointError(RunDirectoryError):
    """A checkpoint that is damaged or belongs to something else."""


class TrainingError(AereprError):
    """Training that cannot go on, such as a loss that is not finite."""


class ExportError(AereprError):
    """An export that could not be made, or whose verification failed."""


class FormatUnavailable(ExportError):
    """A format that this machine, or what was asked for, rules out, whatever the model: what exports all formats leaves it out."""


class MissingExtra(AereprError):
    """An optional dependency that is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f'{purpose} needs {package}, which is not installed: pip install "aerepr[{extra}]"')


class Interrupted(AereprError):
    """Work stopped by a signal, with its state saved; the exit code is 128 + the signal's number."""

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
