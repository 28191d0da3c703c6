"""Bad input: one clear message on stderr, nothing on stdout, the right exit code, no traceback."""

import json
import os
import subprocess
import sys

import pytest

from aerepr.cli import main as module


def refused(result, code, *texts):
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for text in texts:
        assert text in result.stderr


@pytest.mark.parametrize("command", [["train"], ["check"], ["spec", "show"], ["data", "inspect"]], ids=" ".join)
@pytest.mark.parametrize(
    ("change", "texts"),
    [
        ("[model\n", ["not valid TOML"]),
        ("hue = 3\n", ["hue", "unknown key"]),
        ("seed = 'x'\n", ["seed", "must be a valid integer", "got 'x'"]),
        (None, ["no such file"]),
    ],
    ids=["malformed", "unknown key", "wrong type", "missing"],
)
def test_a_bad_spec(aerepr, folder, command, change, texts):
    path = folder / "spec.toml"
    if change is None:
        path.unlink()
    else:
        path.write_text(change + path.read_text())
    refused(aerepr(*command, path), 2, "error: ", str(path), "1 problem", *texts)
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("command", [["train"], ["check"], ["spec", "show"], ["data", "inspect"]], ids=" ".join)
def test_a_bad_set(aerepr, folder, command):
    refused(
        aerepr(*command, "spec.toml", "--set", "steps"), 2, 'expected key=value such as train.steps=2000, got "steps"'
    )
    refused(aerepr(*command, "spec.toml", "--set", "a.b=1"), 2, "a  unknown key")
    refused(aerepr(*command, "spec.toml", "--set", "train.steps=x", "--set", "seed=-1"), 2, "2 problems")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("model.recipe=SEA-6", 'no recipe named "SEA-6" (did you mean "SAE-6"?)'),
        ("model.encoder.name=mpl", 'no encoder named "mpl" (did you mean "mlp"?)'),
        ("data.name=arary", 'no dataset named "arary" (did you mean "array"?)'),
        ("sampler.name=hybird", 'no sampler named "hybird" (did you mean "hybrid"?)'),
    ],
)
def test_an_unknown_name_is_met_with_the_nearest(aerepr, folder, key, text):
    refused(aerepr("train", "spec.toml", "--set", key), 2, text)


def test_data_that_is_missing_fails_before_a_run_is_made(aerepr, folder):
    (folder / "points.npy").unlink()
    refused(aerepr("train", "spec.toml"), 1, "points.npy")
    refused(aerepr("data", "inspect", "spec.toml"), 1, "points.npy")
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("command", ["sample", "traverse", "reconstruct", "export", "encode"])
def test_a_run_that_is_not_there(aerepr, folder, command):
    refused(aerepr(command), 1, "no runs here", "--runs")
    refused(aerepr(command, "nobody"), 1, 'no run named "nobody"')
    (folder / "empty").mkdir()
    if command not in ("traverse", "reconstruct", "encode"):  # where a folder alone may be data
        refused(aerepr(command, "empty"), 1, "not a run directory")


def test_a_run_whose_files_are_unreadable(aerepr, folder):
    run = folder / "runs" / "points" / "20260101T000000Z-01234567"
    run.mkdir(parents=True)
    (run / "spec.resolved.json").write_text("{")
    for command in (["sample"], ["runs", "show"], ["train", "--resume", run]):
        refused(aerepr(*command), 1, str(run.relative_to(folder)))


def test_samplers_and_traversals(aerepr, tiny_run, folder):
    refused(aerepr("sample", tiny_run, "--sampler", "hybird"), 2, 'no sampler named "hybird" (did you mean "hybrid"?)')
    refused(aerepr("sample", tiny_run, "--hybrid", "--prior"), 2, "name one sampler, got 2")
    refused(aerepr("sample", tiny_run, "--prior"), 2, "was not trained towards a prior")
    refused(aerepr("sample", tiny_run, "--set", "sise=3"), 2, "sise", "unknown setting")
    refused(aerepr("sample", tiny_run, "-n", "0"), 2, "-n")
    refused(aerepr("sample", tiny_run, "--out", "x.gif"), 2, ".gif")
    refused(aerepr("traverse", tiny_run, "--traversal", "variabels"), 2, 'did you mean "variables"?')
    refused(aerepr("encode", tiny_run, "--split", "all"), 2, "train, valid, test")
    refused(aerepr("decode", tiny_run, "none.npz"), 1, "none.npz")
    refused(aerepr("decode", tiny_run, "a.npz", "b.npz"), 2, "got 3 arguments")
    refused(aerepr("export", tiny_run, "--to", "onxn", "--out", folder / "x"), 2, 'did you mean "onnx"?')
    half = aerepr("export", tiny_run, "--precision", "fp8", "--out", folder / "x")
    refused(half, 2, "precision must be fp32 or fp16, got 'fp8'")


def test_an_export_that_does_not_agree_with_the_model(aerepr, folder, tiny_run, monkeypatch):
    """Of all formats too: what works is written, and the exit code says that something did not."""
    from aerepr.builtin.exporters import pt2
    from aerepr.registry.registry import Registry

    def off(data):
        return lambda inputs: tuple(value + 1e-3 for value in runner(data)(inputs))

    runner, names = pt2.pt2_runner, Registry.names
    monkeypatch.setattr(pt2, "pt2_runner", off)
    # The page would be fetched into an empty cache.
    monkeypatch.setattr(Registry, "names", lambda self, kind: [name for name in names(self, kind) if name != "web"])
    done = aerepr("export", tiny_run, "--to", "all", "--out", folder / "x")
    refused(done, 1, "pt2: decode differs from the eager model by 1.0e-03", "holds what works, onnx, torchscript")
    assert {path.suffix for path in (folder / "x").iterdir()} == {".json", ".onnx", ".ts"}


def test_catalogues(aerepr, folder):
    refused(aerepr("models", "SEA-6"), 2, 'did you mean "SAE-6"?')
    refused(aerepr("plugins", "list", "--kind", "decodr"), 2, 'no kind named "decodr" (did you mean "decoder"?)')
    refused(aerepr("plugins", "show", "decoder", "strctural"), 2, 'did you mean "structural"?')
    refused(aerepr("plugins", "check", "aerepr-nobody"), 2, 'no package named "aerepr-nobody"')
    refused(aerepr("spec", "new", "--recipe", "VEA"), 2, 'did you mean "VAE"?')
    refused(aerepr("spec", "new", "--data", "idxx"), 2, 'did you mean "idx"?')
    (folder / "registry.toml").write_text("[")
    refused(aerepr("models"), 2, "registry.toml", "cannot be read")


def test_usage_errors_of_the_parser_exit_with_2(aerepr):
    for arguments in (["nonsense"], ["train", "--nonsense"], ["runs", "rm"], ["sample", "-n", "many"]):
        refused(aerepr(*arguments), 2, "Error: ")
    assert "Did you mean 'train'?" in aerepr("trian").stderr


# Around every command.


def run_main(monkeypatch, capsys, failure, *arguments):
    """`main` with a command that fails in some way: exit code, stdout, stderr."""

    def fail(*_, **__):
        raise failure

    monkeypatch.setattr("aerepr.workflows.catalogue.here", fail)
    monkeypatch.setattr("sys.argv", ["aerepr", "models", *arguments])
    monkeypatch.setattr("sys.excepthook", None)
    with pytest.raises(SystemExit) as done:
        module.main()
    return (done.value.code, *capsys.readouterr())


def test_an_unexpected_exception_shows_its_traceback_and_says_whose_it_is(monkeypatch, capsys):
    code, out, err = run_main(monkeypatch, capsys, RuntimeError("oops"))
    assert (code, out) == (1, "")
    assert "Traceback" in err
    assert "RuntimeError: oops" in err
    assert "this is a bug in aerepr" in err


@pytest.mark.parametrize(
    ("failure", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "interrupted by SIGINT"),
        (module.Terminated(), 143, "interrupted by SIGTERM"),
        (PermissionError(13, "Permission denied", "file"), 1, "error: [Errno 13] Permission denied: 'file'"),
        (MemoryError(), 1, "error: out of memory: "),
        (type("OutOfMemoryError", (RuntimeError,), {})(), 1, "error: out of memory: "),
    ],
    ids=str,
)
def test_what_the_machine_or_the_user_does_is_one_line(monkeypatch, capsys, failure, code, line):
    found, out, err = run_main(monkeypatch, capsys, failure)
    assert (found, out) == (code, "")
    assert err.startswith(line)
    assert err.count("\n") == 1


def test_a_reader_that_goes_away_is_no_error(folder):
    # The reader is gone before the first line, which is met while printing or, where lines are gathered, at the end.
    code = "import subprocess, sys; p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.PIPE);"
    code += " p.stdout.close(); print(p.stderr.read().decode(), p.wait())"
    for unbuffered in ("", "1"):
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        arguments = [sys.executable, "-c", code, sys.executable, "-m", "aerepr", "plugins", "list"]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True, env=environment)
        assert done.stdout.split() == ["1"]


def test_problems_of_check_are_json_too(aerepr, folder):
    result = aerepr("check", "spec.toml", "--set", "seed=-1", "--set", "train.steps=0", "--json")
    assert result.exit_code == 2
    assert [problem["path"] for problem in json.loads(result.stdout)["problems"]] == ["seed", "train.steps"]
    assert "2 problems" in result.stderr
