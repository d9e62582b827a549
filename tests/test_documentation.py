"""Every command that the documentation and the help print can be called as printed."""

import io
import os
import re
import shlex
import shutil
import subprocess
from contextlib import redirect_stdout, suppress
from pathlib import Path

import pytest
from snakemake.cli import get_argument_parser

from tests import ROOT
from xstilts.cli import build_parser, main
from xstilts.grid.dag import GOALS

DOCS = [f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))]
PAGES = (
    *("README.md", "config/README.md", "profiles/README.md", "benchmarks/README.md"),
    *("CONTRIBUTING.md", *DOCS),
)
PROGRAMS = ("xstilts", "snakemake", "make")
OTHERS = {  # programs that are not called here, and why
    **dict.fromkeys(("source", "cd", "kill"), "of the shell"),
    **dict.fromkeys(("sinfo", "sacctmgr", "squeue"), "needs a cluster"),
    **dict.fromkeys(("conda", "apptainer", "pip", "apt-get"), "installs packages"),
    **dict.fromkeys(("tensorboard", "wandb", "trackio"), "a package that is not required"),
    "cp": "changes the checkout",
    "tmux": "needs a terminal",
    "git": "a name of what leaves results current",
    "dot": "of graphviz",
    "python": "trains for minutes, needs a GPU, or names any phase",
}
LONG = {"test-trackers": "downloads packages"}  # targets of make whose commands are not called
NO_COMMANDS = r"[A-Z]+=|results/checkpoints/|cli → "  # indented lines that are no commands
NEEDS = {  # commands that fail in a new checkout, and what they then say
    "export-xtreme": "no such file",  # predictions
    "doctor": "check",  # of this machine
    "score-files": "",
    "import-scores": "no such folder",
    "compare": "no results of study",
    "card": "is missing",  # the score
    "push": "is missing",
    "pin": "network",
}
STUDY = "config/studies/phang2020.yaml"
OWN = "config/studies/own.yaml"  # needs the reader's files: tests/workflow/test_own_example.py
CELL = "lab_tiny.none.lab_reading_few.s1"
TEXTS = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
STUDIES = {  # in YAML on the pages, by name
    name: text
    for page in TEXTS.values()
    for text in re.findall(r"```yaml\n((?:#.*?\n)?study: .*?)```", page, re.DOTALL)
    if (name := re.search(r"^study: (\w+)", text, re.MULTILINE)[1]) != "own"
}


def printed_by_help() -> list[str]:
    """The commands that the help of a command names."""
    parser, output = build_parser(), io.StringIO()
    for name in re.findall(r"^    ([a-z-]+) ", parser.format_help(), re.MULTILINE):
        with redirect_stdout(output), suppress(SystemExit):
            parser.parse_args([name, "--help"])
    return re.findall(r"`(xstilts [^`]+)`", " ".join(output.getvalue().split()))


def commands() -> list[str]:
    """The commands of the pages, in blocks and in sentences, and of the help."""
    found = printed_by_help()
    names = "|".join((*PROGRAMS, *OTHERS))
    for page in PAGES:
        text = re.sub(r"```.*?```", "", TEXTS[page], flags=re.DOTALL)
        if study := re.search(r"^    STUDY=(\S+)", text, re.MULTILINE):
            text = text.replace("$STUDY", study[1])
        blocks = re.findall(r"^    (\S.*)$", text, re.MULTILINE)
        lines = [re.split(r"  +#| {3,}", line)[0] for line in blocks]
        lines = [line for line in lines if not re.match(NO_COMMANDS, line)]
        lines += [" ".join(line.split()) for line in re.findall(rf"`((?:{names}) [^`]+)`", text)]
        found += [part for line in lines for part in re.split(r" (?:&&|\|) ", line)]
    return [text for text in dict.fromkeys(found) if OWN not in text]


COMMANDS = commands()


def words(text: str) -> list[str]:
    text = text.replace("--predictions FILE --gold FILE", "--predictions p.tsv --gold p.tsv")
    text = text.replace("STUDY=FILE", f"STUDY={STUDY}").replace("--study FILE", f"--study {STUDY}")
    text = text.replace("NAME.yaml", "phang2020.yaml").replace(
        "--configfile FILE", f"--configfile {STUDY}"
    )
    text = text.replace("CELL", CELL).replace("--write FILE", "--write config/studies/new.yaml")
    return shlex.split(text.replace("FOLDER", "out").replace("--watch", ""))


def of(program: str) -> list:
    """The commands of a program; those that mean the same are called once."""
    same = {tuple(words(text)): text for text in COMMANDS if text.split(" ")[0] == program}
    slow = [pytest.mark.slow]  # `doctor` imports torch
    return [
        pytest.param(text, marks=slow if key[1:2] == ("doctor",) and len(key) > 2 else [])
        for key, text in same.items()
    ]


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A folder with the configuration, the study of the documentation and no results."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    for name, text in STUDIES.items():
        (tmp_path / f"config/studies/{name}.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "p.tsv").write_text("neutral\nentailment\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_pages_have_commands():
    assert len(of("xstilts")) >= 20
    assert len(of("snakemake")) >= 9
    assert len(of("make")) >= 12
    unknown = [text for text in COMMANDS if text.split(" ")[0] not in (*PROGRAMS, *OTHERS)]
    assert unknown == []


@pytest.mark.parametrize("text", of("xstilts"))
def test_xstilts_command(checkout, capsys, text):
    given = words(text)[1:]
    if "--gpu-hours" in given:
        given += ["--seconds", "1"]
    if "--help" in given or given in (["compare"], ["push"]):  # named without arguments
        with pytest.raises(SystemExit) as ended:
            main([given[0], "--help"])
        assert ended.value.code == 0
        return
    status = main(given)
    printed = "".join(capsys.readouterr())
    if given[0] in NEEDS and status:
        assert NEEDS[given[0]] in printed, printed
    else:
        assert status == 0, printed


def check_snakemake(given: list[str]) -> None:
    """Fail if Snakemake has no such option, goal, profile or configuration."""
    options = get_argument_parser().parse_args(given)
    assert set(options.targets) <= set(GOALS)
    for file in options.configfile or ():
        assert Path(file).is_file(), file
    profile = options.workflow_profile
    assert profile is None or (ROOT / profile).is_dir()


@pytest.mark.parametrize("text", of("snakemake"))
def test_snakemake_command(checkout, text):
    check_snakemake(words(text)[1:])


STAND_IN = """#!/bin/sh
echo "$0" "$@" >> $CALLS
"""


@pytest.mark.parametrize("text", of("make"))
def test_make_command(checkout, text):
    """Run the commands of a target with stand-ins for the programs, which note their arguments."""
    given = words(text)[1:]
    names = [word for word in given if "=" not in word]
    for name in ("snakemake", "xstilts", "pytest", "python", "python3", "ruff", "snakefmt", "npm"):
        (checkout / name).write_text(STAND_IN)
        (checkout / name).chmod(0o755)
    folder = os.path.relpath(checkout, ROOT)  # in place of .venv/bin
    options = ["-n"] * bool(LONG.keys() & {*names}) + ["-o", ".venv/made", f"BIN={folder}"]
    environment = os.environ | {"CALLS": str(checkout / "calls")}
    run = subprocess.run(
        ["make", *options, *given], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    calls = (checkout / "calls").read_text() if (checkout / "calls").exists() else ""
    assert calls or {"install", "help", *LONG} & {*names}
    for program, *arguments in map(shlex.split, calls.splitlines()):
        match Path(program).name:
            case "snakemake":
                check_snakemake(arguments)
            case "pytest":
                assert all((ROOT / word).exists() for word in arguments if word[:6] == "tests/")
            case "xstilts":
                build_parser().parse_args(arguments)


@pytest.mark.slow
@pytest.mark.parametrize("text", of("snakemake"))
def test_snakemake_plans(checkout, text):
    if "--workflow-profile" in text or "--unlock" in text:
        pytest.skip("needs a cluster, or a lock")
    end = [] if "--rulegraph" in text else ["-n", "-q"]
    shutil.copytree(ROOT / "workflow", checkout / "workflow")
    shutil.copytree(ROOT / "profiles", checkout / "profiles")
    shutil.copy(ROOT / "Snakefile", checkout)
    run = subprocess.run([*words(text), *end], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert end or run.stdout.startswith("digraph")


def test_the_cell_of_the_help_exists(checkout, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        main(["why", "--help"])
    cell = re.search(r"such as\s+([\w.-]+\.s1)", capsys.readouterr().out)[1]
    assert main(["why", cell, "--study", STUDY]) == 0


LINKING = sorted(path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *ROOT.glob("*/*.md")])


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", LINKING, ids=str)
def test_links_lead_to_files_and_headings(page):
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", link):
            name, _, anchor = link.partition("#")
            target = (ROOT / page).parent / name if name else ROOT / page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def tutorial(number: int) -> str:
    """A study of the tutorial."""
    text = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
    return re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[number]


@pytest.mark.parametrize("number", [0, 1])
def test_the_studies_of_the_tutorial_can_be_planned(checkout, number):
    from xstilts.grid.state import open_study

    path = checkout / "config/studies/tutorial.yaml"
    path.write_text(tutorial(number), encoding="utf-8")
    cells = open_study(path)[0].shared()
    assert any(node.merged for node in cells.checkpoints.values())
