"""The example of config/README.md: a table and a checkpoint of one's own, to a table of scores."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.local_folder import write_model

ROOT = Path(__file__).parents[2]
README = (ROOT / "config/README.md").read_text(encoding="utf-8")
QUICK = {
    "seeds": [1],
    "encode": {"max_length": 32},
    "train": {"max_steps": 4, "batch_size": 4},
}


def example(name: str) -> str:
    """Return the block of YAML in config/README.md that starts with `name`."""
    blocks = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (block,) = [text for text in blocks if text.startswith(name)]
    return block


def table(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        f"the {noun} is red\tthe {noun} is here\t{n % 2}"
        for n, noun in enumerate("house tree river bird fish tree river bird".split())
    ]
    path.write_text("\n".join(["first\tsecond\tsame", *rows]) + "\n")


@pytest.mark.slow
def test_example_of_own_data_and_model_gives_a_table(tmp_path):
    for name in ("en.train", "en.validation", "en.test", "de.test"):
        table(tmp_path / f"data/my_paraphrase/{name}.tsv")
    write_model(tmp_path / "models/my-encoder")
    model = yaml.safe_load(example("my_encoder:"))
    model["my_encoder"]["predict"] = {}  # the tiny model has one layer
    files = {
        "tasks/own.yaml": example("my_paraphrase:"),
        "models/own.yaml": yaml.safe_dump(model),
        "studies/own.yaml": yaml.safe_dump(yaml.safe_load(example("study: own\n")) | QUICK),
    }
    for name, text in files.items():
        path = tmp_path / "config" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "1"]
    command += ["-q", "--configfile", "config/studies/own.yaml"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    with open(tmp_path / "results/studies/own/scores.csv", encoding="utf-8") as file:
        scores = {(row["language"], row["metric"]): row for row in csv.DictReader(file)}
    assert {language for language, _ in scores} >= {"en", "de", "avg"}
    assert scores["de", "macro_f1"]["n"] == "8"
