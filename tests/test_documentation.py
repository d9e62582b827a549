"""Every command that the documentation and the help print can be called as printed."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from snakemake.cli import get_argument_parser

from tests import ROOT
from xstilts.cli import main
from xstilts.grid.dag import GOALS

DOCS = ("docs/tutorial.md", "docs/footguns.md", "docs/architecture.md")
PAGES = ("README.md", *(f"{folder}/README.md" for folder in ("config", "profiles")), *DOCS)
PROGRAMS = ("xstilts", "snakemake", "make")
OTHERS = {  # programs that are not part of this project, and why they are not run
    "source": "of the shell",
    "sinfo": "needs a cluster",
    "sacctmgr": "needs a cluster",
    "cp": "changes the checkout",
    "tmux": "needs a terminal",
    "cd": "of the shell",
    "git": "needs a network",
}
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
TEXTS = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
STUDIES = {  # in YAML on the pages, by name
    name: text
    for page in TEXTS.values()
    for text in re.findall(r"```yaml\n((?:#.*?\n)?study: .*?)```", page, re.DOTALL)
    if (name := re.search(r"^study: (\w+)", text, re.MULTILINE)[1]) != "own"
}


def commands() -> list[str]:
    """The commands of the pages, without comments."""
    found = []
    for page in PAGES:
        for line in TEXTS[page].splitlines():
            code = re.match(r"    ([a-z]+ .*|make [a-z-]+)$", line)
            text = re.split(r"  +#| {3,}", code[1])[0] if code else ""
            if text.split(" ")[0] in (*PROGRAMS, *OTHERS) and OWN not in text:
                found.append(text)
    return list(dict.fromkeys(found))


COMMANDS = commands()


def words(text: str) -> list[str]:
    text = text.replace("--predictions FILE --gold FILE", "--predictions p.tsv --gold p.tsv")
    text = text.replace("STUDY=FILE", f"STUDY={STUDY}").replace("--study FILE", f"--study {STUDY}")
    text = text.replace("NAME.yaml", "phang2020.yaml").replace("$STUDY", STUDY)
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
    assert len(of("xstilts")) >= 10
    assert len(of("snakemake")) >= 6
    assert len(of("make")) >= 3


@pytest.mark.parametrize("text", of("xstilts"))
def test_xstilts_command(checkout, capsys, text):
    given = words(text)[1:]
    if "--gpu-hours" in given:
        given += ["--seconds", "1"]
    status = main(given)
    printed = "".join(capsys.readouterr())
    if given[0] in NEEDS and status:
        assert NEEDS[given[0]] in printed, printed
    else:
        assert status == 0, printed


@pytest.mark.parametrize("text", of("snakemake"))
def test_snakemake_command(checkout, text):
    options = get_argument_parser().parse_args(words(text)[1:])
    assert set(options.targets) <= set(GOALS)
    for file in options.configfile or ():
        assert Path(file).is_file(), file
    profile = options.workflow_profile
    assert profile is None or (ROOT / profile).is_dir()


@pytest.mark.parametrize("text", of("make"))
def test_make_command(text):
    target, *_ = (word for word in words(text.split("&&")[0])[1:] if "=" not in word)
    run = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("text", of("snakemake"))
def test_snakemake_plans(checkout, text):
    if "--workflow-profile" in text or "--unlock" in text:
        pytest.skip("needs a cluster, or a lock")
    shutil.copytree(ROOT / "workflow", checkout / "workflow")
    shutil.copytree(ROOT / "profiles", checkout / "profiles")
    shutil.copy(ROOT / "Snakefile", checkout)
    run = subprocess.run([*words(text), "-n", "-q"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


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
