"""The study that Snakemake runs is the one that `xstilts` reads."""

from pathlib import Path

from snakemake.cli import parse_config

from xstilts.grid.state import open_rules


def test_null_of_snakemakes_config_is_no_text(small_folder):
    changes = parse_config(["train={max_steps: null, epochs: 2}"])
    grid, _ = open_rules([Path("config/config.yaml")], changes, None)
    assert grid.study.train["max_steps"] is None
