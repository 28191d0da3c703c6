"""`aerepr train`: what it prints where, how it ends, and how it goes on."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aerepr.cli.progress import Lines, summary


def last_line(text):
    return json.loads(text.splitlines()[-1])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with one finished run of four steps."""
    import numpy as np
    from typer.testing import CliRunner

    from aerepr.cli.app import app

    folder = tmp_path_factory.mktemp("finished")
    text = Path(__file__).with_name("conftest.py").read_text().split('SPEC = """')[1].split('"""')[0]
    (folder / "spec.toml").write_text(text)
    np.save(folder / "points.npy", np.random.Generator(np.random.PCG64(0)).normal(size=(60, 2)).astype(np.float32))
    result = CliRunner().invoke(app, ["train", str(folder / "spec.toml"), "--runs", str(folder / "runs")])
    assert result.exit_code == 0, result.output
    return result


def test_stdout_is_the_run_and_stderr_a_line_for_each_record(finished):
    path = Path(finished.stdout.strip())
    assert path.parent.name == "points"
    assert (path / "DONE").exists()
    lines = finished.stderr.splitlines()
    assert lines[0].startswith("points: step 0 of 4, 42 training rows, ")
    assert [line.split("  ")[0] for line in lines[1:-1]] == ["step 2/4", "step 4/4", "step 4/4"]
    assert "loss " in lines[1]
    assert "examples/s" in lines[1]
    assert "valid  loss/distortion" in lines[3]
    assert lines[-1] == f"done: {path}"


def test_json_is_one_line_alone_on_stdout(aerepr, folder):
    result = aerepr("train", "spec.toml", "--json", "--set", "train.steps=2", "--run", "here")
    assert result.exit_code == 0
    assert result.stdout == '{"run": "here", "step": 2, "state": "done"}\n'
    assert "step 2/2" in result.stderr


def test_json_after_a_spec_error_says_that_no_run_was_made(aerepr, folder):
    result = aerepr("train", "spec.toml", "--json", "--set", "train.steps=0")
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {"run": None, "step": 0, "state": "failed"}
    assert "1 problem" in result.stderr


def test_json_after_a_failure_names_the_run(aerepr, folder):
    result = aerepr("train", "spec.toml", "--json", "--set", "train.optimizer.lr=1e38", "--set", "train.steps=40")
    assert result.exit_code == 1
    found = last_line(result.stdout)
    assert found["state"] == "failed"
    assert (folder / found["run"] / "FAILED").exists()
    assert "is not finite" in result.stderr


def test_a_signal_saves_the_run(aerepr, folder):
    command = [sys.executable, "-m", "aerepr", "train", "spec.toml", "--json", "--set", "train.steps=1000000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("step 10/"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    found = json.loads(out)
    assert found["state"] == "interrupted"
    assert found["step"] >= 10
    assert f"interrupted at step {found['step']} of 1000000, saved" in err
    assert "Traceback" not in err

    listed = json.loads(aerepr("runs", "list", "--json").stdout)
    assert [(row["state"], row["steps"]) for row in listed] == [("interrupted", 1000000)]
    refused = aerepr("train", "--resume", "--set", f"train.steps={found['step']}")
    assert refused.exit_code == 2
    assert "can only grow" in refused.stderr


def test_a_signal_before_training_is_one_line(folder):
    # A component that takes its time to be imported holds the command before its first step.
    (folder / "slow.py").write_text("import sys, time\nprint('here', file=sys.stderr, flush=True)\ntime.sleep(60)\n")
    environment = {**os.environ, "PYTHONPATH": str(folder), "AEREPR_PLUGINS": "datasets:slow=slow:Slow"}
    process = subprocess.Popen(
        [sys.executable, "-m", "aerepr", "train", "spec.toml", "--json", "--set", "data.name=slow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stderr.readline() == "here\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, json.loads(out)) == (143, {"run": None, "step": 0, "state": "interrupted"})
    assert err == "interrupted by SIGTERM\n"


# --resume names a spec, a run, a name, or nothing.


def stop_after_two(aerepr, name):
    """An unfinished run of four steps, with a checkpoint at step 2, which is where its data broke."""
    assert aerepr("train", "spec.toml", "--set", f"name={name}").exit_code == 0
    (run,) = Path("runs", name).iterdir()
    (run / "DONE").unlink()
    for left in (run / "checkpoints" / "step-00000004", run / "model"):
        for file in left.iterdir():
            file.unlink()
        left.rmdir()
    (run / "checkpoints" / "last").write_text("step-00000002\n")
    return run


@pytest.mark.parametrize("how", ["nothing", "spec", "name", "path", "--run"])
def test_resume_continues_what_is_meant(aerepr, folder, how):
    run = stop_after_two(aerepr, "mine")
    # A newer run that is done is passed over.
    assert aerepr("train", "spec.toml", "--set", "seed=5").exit_code == 0
    arguments = {
        "nothing": [],
        "spec": ["spec.toml", "--set", "name=mine"],
        "name": ["mine"],
        "path": [run],
        "--run": ["--run", run],
    }[how]
    result = aerepr("train", "--resume", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {"run": str(run), "step": 4, "state": "done"}
    assert "step 2 of 4" in result.stderr


def test_a_spec_beside_the_run_it_resumes_is_that_runs_own(aerepr, folder):
    run = stop_after_two(aerepr, "points")
    text = Path("spec.toml").read_text()
    Path("other.toml").write_text(f"seed = 1\n{text}")
    refused = aerepr("train", "other.toml", "--resume", "--run", run)
    assert refused.exit_code == 2
    assert "other.toml is not the spec of the run" in refused.stderr
    assert "seed  cannot change when a run is resumed; these can: train.steps" in refused.stderr
    longer = text.replace("steps = 4", "steps = 6")
    assert longer != text
    Path("longer.toml").write_text(longer)
    result = aerepr("train", "longer.toml", "--resume", "--run", run, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {"run": str(run), "step": 6, "state": "done"}


def test_a_run_whose_data_moved_is_resumed_with_its_new_place(aerepr, folder):
    run = stop_after_two(aerepr, "points")
    Path("moved").mkdir()
    Path("points.npy").rename("moved/points.npy")
    refused = aerepr("train", "--resume", run)
    assert refused.exit_code == 1
    assert "pass --folder DIR (in Python: folder=DIR) if it moved" in refused.stderr
    assert aerepr("train", "--resume", run, "--folder", "moved").exit_code == 0
    assert "a spec file's data paths start where it lies" in aerepr("train", "spec.toml", "--folder", "moved").stderr


def test_resume_without_anything_unfinished_says_so(aerepr, folder):
    assert "no unfinished run" in aerepr("train", "--resume").stderr
    assert aerepr("train", "--resume", "spec.toml").exit_code == 2
    assert "no run named" in aerepr("train", "--resume", "nobody").stderr


def test_a_run_in_the_way_is_kept_unless_told(aerepr, folder):
    assert aerepr("train", "spec.toml", "--run", "here").exit_code == 0
    before = Path("here", "env.json").stat().st_mtime_ns
    result = aerepr("train", "spec.toml", "--run", "here")
    assert result.exit_code == 1
    assert "already there" in result.stderr
    assert Path("here", "env.json").stat().st_mtime_ns == before
    assert aerepr("train", "spec.toml", "--run", "here", "--overwrite").exit_code == 0
    Path("other").mkdir()
    Path("other", "file").touch()
    assert "leaves it alone" in aerepr("train", "spec.toml", "--run", "other", "--overwrite").stderr
    assert Path("other", "file").exists()


def test_only_one_process_of_several_speaks(aerepr, folder, monkeypatch):
    from aerepr.cli.progress import Silent, watch

    with watch(speaks=False) as watcher:
        assert isinstance(watcher, Silent)
    monkeypatch.setenv("RANK", "1")
    result = aerepr("train", "spec.toml", "--set", "train.steps=0", "--json")
    assert result.stdout == ""


# Progress.


def test_a_terminal_gets_a_bar_with_step_speed_and_loss(folder):
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "aerepr", "train", "spec.toml", "--set", "train.steps=40", "--run", "here"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=follower, env=environment)
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # Linux says so when the last writer has closed
            break
        if not part:
            break
        shown += part
    assert process.wait() == 0
    text = shown.decode()
    assert "40/40" in text
    assert "/s" in text
    assert "loss " in text
    assert "step 4  valid" in text
    assert process.stdout.read().decode() == "here\n"
    process.stdout.close()
    os.close(leader)


def test_a_record_in_one_line(capsys):
    record = {"step": 50, "kind": "train", "loss/total": 12.3456, "perf/examples_per_second": 12345.6}
    assert summary(record) == "loss 12.35  12,346 examples/s"
    assert summary({"step": 50, "kind": "evaluation", "mig.score": 0.5}) == "evaluation  mig.score 0.5"
    lines = Lines()
    lines.progress(50, 2000, 1.0)
    lines.record(record)
    lines.message("a note")
    assert capsys.readouterr() == ("", "step 50/2000  loss 12.35  12,346 examples/s\na note\n")
