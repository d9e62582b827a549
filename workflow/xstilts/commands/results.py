"""The commands that compare results, publish them, or import those of other systems."""

from argparse import ArgumentParser, Namespace

from xstilts.commands import Command, add_cell, file, log, new_file, open_grid
from xstilts.commands.workflow import go_online
from xstilts.text import say


def add_compare(parser: ArgumentParser) -> None:
    """Add the two studies."""
    about = "name of a study, its file, a run's snapshot, or a copy of results/studies/NAME"
    for name in ("a", "b"):
        parser.add_argument(name, metavar=name.upper(), help=about)
    parser.add_argument("--csv", type=new_file, metavar="FILE", help="also write the table")


def compare(options: Namespace) -> None:
    """Print the differences between two studies in the cells that both have."""
    from xstilts import store
    from xstilts.exchange import comparison
    from xstilts.exchange.studies import open_results
    from xstilts.results.scores import CSV

    found = comparison.compare(open_results(options.a), open_results(options.b))
    for notice in found.notices:
        log.warning(notice)
    say(f"A: {options.a}\nB: {options.b}")
    for line in comparison.lines(found):
        say(line)
    if options.csv:
        store.write_text(options.csv, found.table.to_csv(**CSV))


def add_import(parser: ArgumentParser) -> None:
    """Add the system and its files."""
    add = parser.add_argument
    add("--system", required=True, metavar="NAME", help="name of the row in the tables")
    layout = "TARGET/test-LANGUAGE.EXTENSION, as `export-xtreme` writes them"
    add("--predictions", type=file, required=True, metavar="FOLDER", help=layout)


def import_scores(options: Namespace) -> None:
    """Score the predictions of another system, and print the command that shows the scores."""
    from xstilts.exchange import imported

    grid = open_grid(options)
    for path in imported.run(grid, options.system, options.predictions):
        say(path)
    say(f"`xstilts study --study {options.study}` shows them in the tables")


def add_card(parser: ArgumentParser) -> None:
    """Add the cell and the file."""
    add_cell(parser)
    parser.add_argument("--out", type=new_file, metavar="FILE", help="write the card to this file")


def card(options: Namespace) -> None:
    """Print or write the model card of a cell."""
    from xstilts import store
    from xstilts.exchange import card
    from xstilts.status.explain import find_cell

    grid = open_grid(options)
    text = card.card(grid, find_cell(grid, options.cell))
    if options.out:
        store.write_text(options.out, text)
        say(options.out)
    else:
        say(text.rstrip())


def add_push(parser: ArgumentParser) -> None:
    """Add the cell and the repository."""
    add_cell(parser)
    parser.add_argument("repository", metavar="REPO", help="OWNER/NAME on the Hub")
    parser.add_argument(
        "--public", action="store_true", help="make a new repository public (default: private)"
    )


def push(options: Namespace) -> None:
    """Upload a cell's checkpoint and its model card, and print the address."""
    from xstilts.status.explain import find_cell

    grid = open_grid(options)
    cell = find_cell(grid, options.cell)
    go_online()
    from xstilts.stages import push

    say(push.run(grid, cell, options.repository, options.public))


COMMANDS = (
    Command(
        "compare",
        "compare two studies, machines or library versions in their common cells",
        compare,
        add_compare,
        needs_study=False,
    ),
    Command(
        "import-scores",
        "add another system's scores to the tables, from predictions in XTREME's layout",
        import_scores,
        add_import,
    ),
    Command("card", "write the Hugging Face model card of a cell", card, add_card),
    Command("push", "upload a cell's checkpoint and card to the Hub", push, add_push),
)
