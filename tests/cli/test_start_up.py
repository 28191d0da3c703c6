"""What commands import before they work, and what their help says."""

import subprocess
import sys
import time

import pytest

HEAVY = {"torch", "numpy", "pydantic"}

COMMANDS = [
    ["train"],
    ["sample"],
    ["traverse"],
    ["encode"],
    ["decode"],
    ["reconstruct"],
    ["evaluate"],
    ["metrics"],
    ["export"],
    ["check"],
    ["spec", "new"],
    ["spec", "show"],
    ["spec", "schema"],
    ["models"],
    ["plugins", "list"],
    ["plugins", "show"],
    ["plugins", "check"],
    ["plugins", "new"],
    ["data", "list"],
    ["data", "where"],
    ["data", "fetch"],
    ["data", "verify"],
    ["data", "render"],
    ["data", "inspect"],
    ["runs", "list"],
    ["runs", "show"],
    ["runs", "compare"],
    ["runs", "rm"],
    ["study", "rank"],
    ["study", "run"],
    ["study", "table"],
    ["demo"],
    ["info"],
]

# Runs a command and prints, on the last line of stderr, which heavy packages it imported.
PROBE = """
import sys
from aerepr.cli.main import main
try:
    main()
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def imported(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_is_light(folder, arguments):
    assert not imported(folder, *arguments) & {*HEAVY, "rich"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--help"],
        ["models"],
        ["models", "VAE"],
        ["plugins", "list"],
        ["plugins", "list", "--json"],
        ["data", "list"],
        ["data", "where"],
        ["runs", "list"],
    ],
    ids=" ".join,
)
def test_listing_imports_no_torch(folder, arguments):
    # The parser itself brings pydantic (typer reads arguments with it).
    assert not imported(folder, *arguments) & {"torch", "numpy", "rich"}


def test_help_is_quick(folder):
    def seconds():
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "aerepr", "--help"], capture_output=True, cwd=folder, check=True)
        return time.perf_counter() - began

    # The best of three, for the machine may be busy with something else.
    assert min(seconds() for _ in range(3)) < 0.4


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_says_what_it_does_and_shows_an_example(aerepr, command):
    text = aerepr(*command, "--help")
    assert text.exit_code == 0
    assert "Examples:" in text.stdout
    # Examples stand on lines of their own.
    assert any(line.strip().startswith(f"aerepr {' '.join(command)}") for line in text.stdout.splitlines())
    assert "--json" in text.stdout


def test_every_command_is_tested_here(aerepr):
    from typer.main import get_command

    from aerepr.cli.app import app

    found = []
    for name, command in get_command(app).commands.items():
        found += [[name, inner] for inner in command.commands] if hasattr(command, "commands") else [[name]]
    assert sorted(found) == sorted(COMMANDS)


def test_our_warnings_are_one_line_without_a_place_in_our_code(capsys, monkeypatch):
    from aerepr.cli import main
    from aerepr.errors import AereprWarning

    others = []
    monkeypatch.setattr(main, "_show", lambda *given: others.append(given))
    main._warn(AereprWarning("another version"), AereprWarning, "manifest.py", 7)
    assert capsys.readouterr().err == "warning: another version\n"
    main._warn(UserWarning("of a library"), UserWarning, "elsewhere.py", 7)
    assert [given[1:] for given in others] == [(UserWarning, "elsewhere.py", 7)]


def test_module_and_console_script_are_the_same(folder):
    from importlib.metadata import entry_points

    from aerepr.cli.main import main

    (script,) = entry_points(group="console_scripts", name="aerepr")
    assert script.load() is main
    shown = subprocess.run([sys.executable, "-m", "aerepr", "--help"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("Usage: aerepr [OPTIONS]")


def test_version_and_completion(aerepr, folder):
    from importlib.metadata import version

    assert aerepr("--version").stdout == version("aerepr") + "\n"
    environment = {
        "_AEREPR_COMPLETE": "complete_bash",
        "COMP_WORDS": "aerepr tr",
        "COMP_CWORD": "1",
        "PATH": "/usr/bin:/bin",
    }
    shown = subprocess.run(
        [sys.executable, "-c", "from aerepr.cli.main import main; main()"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert shown.stdout.split() == ["train", "traverse"]


@pytest.mark.parametrize("arguments", [[], ["spec"], ["runs"]])
def test_a_group_without_a_command_shows_its_commands(aerepr, arguments):
    shown = aerepr(*arguments)
    assert shown.exit_code == 2
    assert "Commands:" in shown.output
