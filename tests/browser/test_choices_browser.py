"""The first table of the report after a choice: labels, axis, head and note."""

import json
from pathlib import Path

from tests.made_up import make_grid, write_results

PLACES = "cells => cells.map((cell) => [cell.textContent, cell.style.getPropertyValue('--v')])"


def baselines(seen) -> list[str]:
    """Return the recipes whose rows are labelled as scores."""
    heads = seen.page.locator("#grid tbody th").all_text_contents()
    return [text.removesuffix(" (score)") for text in heads if text.endswith(" (score)")]


def legend(seen) -> str:
    return seen.page.locator("#grid .legend").inner_text()


def test_the_baseline_alone_has_scores(visit):
    seen = visit()
    assert baselines(seen) == ["none"]
    scores = {name: seen.cell(name, "t0").text_content() for name in ("none", "i0")}
    assert scores["i0"][0] in "+−"
    seen.page.select_option("select[name=baseline]", "i0")
    assert baselines(seen) == ["Task 0"]
    assert seen.recipes()[0] != "i0"
    assert seen.cell("i0", "t0").text_content()[0].isdigit()
    difference = seen.cell("none", "t0").text_content()
    assert difference[0] != scores["i0"][0]
    assert difference[1:] == scores["i0"][1:]
    seen.page.select_option("select[name=show]", "score")
    assert baselines(seen) == []
    assert seen.cell("none", "t0").text_content() == scores["none"]


def test_means_without_intervals_are_on_the_axis(visit):
    seen = visit()
    for name, value in (("baseline", "i0"), ("metric", "f1"), ("over", "sw"), ("over", "avg")):
        seen.page.select_option(f"select[name={name}]", value)
        script = (
            "cells => cells.map((cell) => [cell.textContent, cell.style.getPropertyValue('--v')])"
        )
        means = seen.page.locator("#grid td.mean:is(.gain, .loss)").evaluate_all(script)
        gains = [abs(float(text.split()[0].replace("−", "-"))) for text, _ in means]
        places = [abs(float(place) - 50) for _, place in means]
        assert max(places) < 48  # no dot is cut at the edge
        assert len(means) >= 3
        assert places.count(max(places)) == gains.count(max(gains))
    seen.page.select_option("select[name=show]", "score")
    assert not seen.page.locator("#grid td.mean:is(.gain, .loss)").count()  # no axis


def test_head_and_note_state_the_choice(visit):
    seen = visit()
    head, no_interval = seen.page.locator("#grid th[data-key=mean]"), "have no interval here"
    assert head.text_content() == "Mean gain, 95 % CI"
    assert no_interval not in legend(seen)
    for name, value in (("baseline", "i0"), ("metric", "f1")):
        seen.page.select_option(f"select[name={name}]", value)
        assert "CI" not in head.text_content() + legend(seen)
        assert "Bold" not in legend(seen)
        assert no_interval in legend(seen)
        seen.page.select_option(f"select[name={name}]", index=0)
    assert "(source language left out), points" in legend(seen)
    for over, text in (("avg", "Average over all languages"), ("sw", "Swahili alone")):
        seen.page.select_option("select[name=over]", over)
        assert head.text_content() == "Mean gain, 95 % CI"
        assert f"{text}, points" in legend(seen)
        assert "source" not in legend(seen)
    seen.page.select_option("select[name=show]", "score")
    assert head.text_content() == "Mean score"
    assert "CI" not in legend(seen)
    assert no_interval not in legend(seen)


def test_the_majority_class_follows_the_choice(visit, tmp_path, monkeypatch):
    from xstilts.report.view import StudyView
    from xstilts.stages import summarise

    monkeypatch.chdir(tmp_path)
    grid = make_grid(recipes=2)
    write_results(grid)
    for score in (score for score in grid.scores() if score.cell.target == "t0"):
        content = json.loads(Path(score.path).read_text())
        for code, entry in content["languages"].items():
            entry["majority"] = {"accuracy": 40.0 if code == "sw" else 30.0}
        Path(score.path).write_text(json.dumps(content))
    summarise.run(StudyView(grid))
    seen = visit(tmp_path / "results/studies/made-up/report.html")
    row = seen.page.locator("#grid tr[data-recipe=''] td span")
    assert row.all_text_contents() == ["n/a", "31.4", "n/a", "n/a"]
    seen.page.select_option("select[name=over]", "sw")
    assert row.all_text_contents() == ["n/a", "40.0", "n/a", "n/a"]
    seen.page.select_option("select[name=metric]", "accuracy")
    assert row.all_text_contents() == ["40.0", "40.0", "n/a", "n/a"]
    seen.page.select_option("select[name=metric]", "f1")
    assert row.all_text_contents() == ["n/a"] * 4
