"""The configuration: the keys that users write, and how they are read and checked."""

from pathlib import Path

DEFAULT_STUDY = Path("config/config.yaml")  # of Snakemake, the command line and the Makefile
