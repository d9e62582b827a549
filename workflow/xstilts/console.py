"""What `status` prints."""

from collections import Counter
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xstilts.artefacts import Cell
from xstilts.study import Grid

_MARKS = {"done": "✓", "to do": "·", "failed": "✗"}
_STYLES = {"done": "green", "to do": "dim", "failed": "bold red"}


def print_status(grid: Grid, states: Mapping[Cell, tuple[str, list[str]]]) -> None:
    """The grid per model: recipes down, targets across, a mark per seed; then counts, failures."""
    console = Console()
    models = list(dict.fromkeys(cell.model for cell in states))
    for model in models:
        table = Table(title=model, title_justify="left", show_edge=False, pad_edge=False)
        table.add_column("recipe")
        for target in grid.study.targets:
            table.add_column(target, justify="center")
        for recipe in dict.fromkeys(cell.recipe for cell in states if cell.model == model):
            marks = []
            for target in grid.study.targets:
                text = Text()
                for seed in grid.study.seeds:
                    state = states[Cell(model, recipe, target, seed)][0]
                    text.append(_MARKS[state], _STYLES[state])
                marks.append(text)
            table.add_row(Text(recipe), *marks)
        console.print(table)
        console.print()
    counts = Counter(state for state, _ in states.values())
    legend = ", ".join(f"{_MARKS[state]} {state} {counts[state]}" for state in _MARKS)
    console.print(Text(f"{legend}, of {len(states)} cells; a mark per seed"))
    failures = {message: cell for cell, (_, found) in states.items() for message in found}
    for message, cell in failures.items():
        console.print(Text(f"✗ {cell}: {message}", "red"), soft_wrap=True)
