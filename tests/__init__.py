"""The tests; their folders mirror the package."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "config"
SMALL = ROOT / "tests" / "workflow" / "small" / "config"  # a study of a minute
