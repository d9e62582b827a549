"""The study phase as a whole."""

import io
import random

import pytest
from rich.console import Console

from tests.results.test_scores import lab
from xstilts.analyses import Outcome
from xstilts.errors import InputError
from xstilts.grid.artefacts import Cell
from xstilts.report import write
from xstilts.report.write import Report, terminal
from xstilts.results.samples import judge
from xstilts.results.scores import collect

FILES = {
    *{"scores.csv", "table.md", "table.csv", "table.tex"},
    *{f"{stem}.{x}" for stem in ("heatmap", "languages") for x in ("txt", "pdf", "svg", "png")},
    *{"answer.md", "answer.json", "gains.csv", "gains.md", "gains.tex"},
}


def write_study(paths, context, out) -> Report:
    outcome = Outcome("It does.", [], analysis="helps", question="Does it help?")
    return write.write_study(judge(collect(paths, context)), outcome, out)


def test_equal_scores_give_equal_files_in_any_order(tmp_path):
    paths, context = lab(tmp_path, missing=(Cell("xlmr", "nli", "qa", 1),))
    first = write_study(paths, context, tmp_path / "out" / "first")
    random.Random(1).shuffle(paths)
    second = write_study([*paths, tmp_path / "absent.json"], context, tmp_path / "second")
    assert {path.name for path in first.files} == FILES
    for one, two in zip(first.files, second.files, strict=True):
        assert one.read_bytes() == two.read_bytes()
    assert {path.name for path in (tmp_path / "second").iterdir()} == FILES  # no leftover


def test_a_bad_score_leaves_the_old_files_alone(tmp_path):
    paths, context = lab(tmp_path)
    out = tmp_path / "out"
    old = {path: path.read_bytes() for path in write_study(paths, context, out).files}
    paths[3].write_text("{")
    with pytest.raises(InputError, match=r"3\.json"):
        write_study(paths, context, out)
    assert {path: path.read_bytes() for path in out.iterdir()} == old


def test_terminal_shows_table_and_folder(tmp_path):
    report = write_study(*lab(tmp_path, warnings=("one [bold]thing[/bold]",)), tmp_path / "out")
    short, long = io.StringIO(), io.StringIO()
    terminal(report, console=Console(file=short, width=80))
    terminal(report, verbose=True, console=Console(file=long, width=80))
    assert "+3.5" in short.getvalue()
    assert short.getvalue().splitlines()[-1] == f"{report.files[0]}  (+16 files)"
    assert "+3.5 [" in long.getvalue()
    for text in (short, long):
        assert "Warning: one [bold]thing[/bold]" in text.getvalue()
    for path in report.files:
        assert str(path) in long.getvalue()


def test_files_are_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    paths, context = lab(tmp_path)
    old = {path: path.read_bytes() for path in write_study(paths, context, tmp_path / "out").files}

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_study(paths[:3], context, tmp_path / "out")
    assert {path: path.read_bytes() for path in old} == old
