"""Progress of a download on stderr."""

from __future__ import annotations

from aerepr.cli import transfer


def test_lines_at_every_tenth(capsys):
    lines = transfer.Lines()
    lines.start("a.npz", 0, 1000)
    for _ in range(40):
        lines.advance(25)
    text = capsys.readouterr()
    assert text.out == ""
    assert text.err.splitlines()[:3] == [
        "a.npz  from 0 B of 1000 B",
        "a.npz  100 B of 1000 B",
        "a.npz  200 B of 1000 B",
    ]
    assert len(text.err.splitlines()) == 11


def test_lines_of_a_resumed_file_and_of_one_of_unknown_size(capsys):
    lines = transfer.Lines()
    lines.start("a.npz", 500, 1000)
    lines.advance(99)
    lines.start("b.npz", 0, None)
    lines.advance(99 << 20)
    lines.advance(2 << 20)
    assert capsys.readouterr().err.splitlines() == [
        "a.npz  resumed at 500 B of 1000 B",
        "b.npz  from 0 B",
        "b.npz  101.0 MiB",
    ]


def test_a_bar_for_each_file(capsys):
    with transfer._bar() as progress:
        bar = transfer.Bar(progress)
        bar.start("a.npz", 0, 1000)
        bar.advance(400)
        bar.start("a.npz", 399, 1000)  # taken up again, in the same bar
        bar.advance(601)
        bar.start("b.npz", 10, None)
        bar.message("a source [failed]")
        assert [(task.description, task.completed, task.total) for task in progress.tasks] == [
            ("a.npz", 1000, 1000),
            ("b.npz", 10, None),
        ]
    text = capsys.readouterr()
    assert text.out == ""
    assert "a source [failed]" in text.err
    assert "b.npz" in text.err
