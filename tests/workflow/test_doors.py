"""Snakemake and the command line read the same study files in the same way."""

import re

import pytest

pytestmark = pytest.mark.slow


def planned(checkout, *options):
    """Return the number of score jobs that Snakemake plans, or its message."""
    run = checkout.snakemake("--dry-run", "--quiet", "rules", *options)
    count = re.search(r"^score +(\d+)$", run.output, re.M)
    return int(count[1]) if count else run.output


def shown(checkout, *options):
    """Return the number of cells that `xstilts status` shows, or its message."""
    run = checkout.run("xstilts", "status", *options)
    count = re.search(r"(\d+) (?:cells|of (\d+) cells)", run.output)
    return int(count[2] or count[1]) if count else run.output


def test_study_file_outside_config(fresh, tmp_path):
    study = tmp_path / "elsewhere.yaml"
    study.write_text((fresh.folder / "config/config.yaml").read_text().replace("[1]", "[1, 2]"))
    assert planned(fresh, "--configfile", str(study)) == 8
    assert shown(fresh, "--study", str(study)) == 8


def test_repeated_key_is_refused(fresh):
    with open(fresh.folder / "config/config.yaml", "a", encoding="utf-8") as file:
        file.write("\nseeds: [7]\n")
    for message in (planned(fresh), shown(fresh)):
        assert "key 'seeds' is given twice" in message
        assert "Traceback" not in message


def test_override_of_a_key(fresh):
    assert planned(fresh, "--config", "seeds=[1, 2, 3]") == 12
    assert shown(fresh, "--config", "seeds=[1, 2, 3]") == 12


def test_nearer_definition_wins_with_a_notice(fresh, tmp_path):
    near = tmp_path / "near"
    (near / "models").mkdir(parents=True)
    for name in ("config.yaml", "models/small.yaml"):
        text = (fresh.folder / "config" / name).read_text(encoding="utf-8")
        (near / name).write_text(text.replace("mem_mb: 1000", "mem_mb: 1500"), encoding="utf-8")
    notice = f"model tiny of {near} overrides that of config"
    run = fresh.snakemake("--dry-run", "--configfile", str(near / "config.yaml"))
    assert notice in run.output
    assert notice in fresh.run("xstilts", "status", "--study", str(near / "config.yaml")).output


@pytest.mark.parametrize("goal", ["train_all", "score_all"])  # one loop defines all goals
def test_goal_stops_after_its_phase(fresh, goal):
    phases = ["prepare", "train", "predict", "score", "tables"]
    run = fresh.snakemake(goal, "--dry-run")
    started = {message.split()[0] for message in run.jobs} - {"initialise"}
    assert started == set(phases[: phases.index(goal.removesuffix("_all")) + 1])
