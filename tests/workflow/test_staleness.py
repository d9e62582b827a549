"""Jobs that run after a change: exactly those that it makes stale, and none after them.

Every case is a real Snakemake process on a copy of the finished small study. Where the jobs matter
and not their results, it only plans them.
"""

import os
from pathlib import Path

import pytest

from xstilts.identity import VERSIONS

pytestmark = pytest.mark.slow

STUDY = "tables and figures of study small"
CONFIG = "config/config.yaml"
TASKS = "config/tasks/small.yaml"
MODELS = "config/models/small.yaml"


def _raised(phase):
    old, new = (f'"{phase}": {number}' for number in (VERSIONS[phase], VERSIONS[phase] + 1))
    return ("workflow/xstilts/identity.py", old, new)


ALL_SCORES = [
    "score tiny.nli.paraphrase.s1",
    "score tiny.nli.tatoeba.s1",
    "score tiny.none.paraphrase.s1",
    "score tiny.none.tatoeba.s1",
]

# what changed: (file, old text, new text)…, and the jobs that must run
CHANGES = {
    "drawing code": (
        [("workflow/xstilts/results/tables.py", "\nimport re\n", "\nimport ast\nimport re\n")],
        [STUDY],
    ),
    "scorer version": ([_raised("score")], [*ALL_SCORES, STUDY]),
    "another target": (  # the step `nli` of the recipe is the target's training under `none`
        [(CONFIG, "targets: [", "targets: [nli, ")],
        [
            "prepare nli",
            "train tiny.nli-nli.s1",
            "predict tiny.nli-nli.s1.nli",
            "predict tiny.nli.s1.nli",
            "score tiny.nli.nli.s1",
            "score tiny.none.nli.s1",
            STUDY,
        ],
    ),
    "another seed": (  # the untrained root serves tatoeba under `none` for every seed
        [(CONFIG, "seeds: [1]", "seeds: [1, 2]")],
        [
            "train tiny.nli.s2",
            "train tiny.paraphrase.s2",
            "train tiny.nli-paraphrase.s2",
            "predict tiny.nli.s2.tatoeba",
            "predict tiny.paraphrase.s2.paraphrase",
            "predict tiny.nli-paraphrase.s2.paraphrase",
            "score tiny.nli.paraphrase.s2",
            "score tiny.nli.tatoeba.s2",
            "score tiny.none.paraphrase.s2",
            "score tiny.none.tatoeba.s2",
            STUDY,
        ],
    ),
    "learning rate of an intermediate task": (
        [
            (
                CONFIG,
                "nli:\n    train: {learning_rate: 1.0e-3",
                "nli:\n    train: {learning_rate: 1e-4",
            )
        ],
        [
            "train tiny.nli.s1",
            "train tiny.nli-paraphrase.s1",
            "predict tiny.nli.s1.tatoeba",
            "predict tiny.nli-paraphrase.s1.paraphrase",
            "score tiny.nli.paraphrase.s1",
            "score tiny.nli.tatoeba.s1",
            STUDY,
        ],
    ),
    "training version": (
        [_raised("train")],
        [
            "train tiny.nli.s1",
            "train tiny.paraphrase.s1",
            "train tiny.nli-paraphrase.s1",
            "predict tiny.nli.s1.tatoeba",
            "predict tiny.paraphrase.s1.paraphrase",
            "predict tiny.nli-paraphrase.s1.paraphrase",
            "score tiny.nli.paraphrase.s1",
            "score tiny.nli.tatoeba.s1",
            "score tiny.none.paraphrase.s1",
            STUDY,
        ],
    ),
}

NO_CHANGES = {
    "resources": [(MODELS, "mem_mb: 1000", "mem_mb: 1500, runtime: 60")],
    "profile": [("profiles/default/config.yaml", "latency-wait: 5", "latency-wait: 7\nretries: 1")],
    "environments": [
        ("envs/xstilts.yaml", "python=3.11", "python=3.12"),
        ("envs/xstilts.def", "python:3.11", "python:3.12"),
        ("Snakefile", '"xstilts.sif"', '"other.sif"'),
    ],
    "comment in the training code": [
        ("workflow/xstilts/stages/train.py", "import logging\n", "import logging  # a comment\n")
    ],
    "comment and text in a rule": [
        ("workflow/rules/train.smk", "rule train:\n", "# a comment\nrule train:\n"),
        ("workflow/rules/train.smk", "One step of a tree", "A step of a tree"),
    ],
    "order of keys": [
        (CONFIG, "seeds: [1]\n", ""),
        (CONFIG, "models: [tiny]\n", "seeds: [1]\nmodels: [tiny]\n"),
        (TASKS, "{source: lab, kind: nli, size: 40}", "{size: 40, kind: nli, source: lab}"),
    ],
    "default spelt out": [
        (MODELS, "{max_length: 64}", "{max_length: 64, stride: 0}"),
        (MODELS, "batch_size: 4}", "batch_size: 4, warmup: 0.1, select: last}"),
        (TASKS, "kind: nli, source: lab}", "kind: nli, source: lab, seed: 0, portion: a}"),
    ],
}


def _change(checkout, edits):
    for edit in edits:
        checkout.edit(*edit)


def test_from_nothing_every_job_runs_once(first_run):
    _, run = first_run
    assert run.jobs == sorted(
        [
            *[f"prepare {task}" for task in ("nli", "paraphrase", "tatoeba", "text")],
            "initialise tiny.init",
            "train tiny.nli.s1",
            "train tiny.paraphrase.s1",
            "train tiny.nli-paraphrase.s1",
            "predict tiny.init.tatoeba",
            "predict tiny.nli.s1.tatoeba",
            "predict tiny.paraphrase.s1.paraphrase",
            "predict tiny.nli-paraphrase.s1.paraphrase",
            *ALL_SCORES,
            STUDY,
        ]
    )


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_runs_what_it_makes_stale(finished, change):
    edits, expected = CHANGES[change]
    _change(finished, edits)
    assert finished.jobs("--dry-run") == sorted(expected)


def test_changes_that_change_no_result_run_nothing(finished):
    for edits in NO_CHANGES.values():  # together: no digest may depend on any of them
        _change(finished, edits)
    assert finished.jobs("--dry-run") == []


def test_changes_of_a_target_there_and_back(finished):
    before = finished.files("results/predictions/*/*.jsonl")
    data = finished.files("results/data/*/*")
    target = "languages: [en]\n    train: {learning_rate: 1.0e-3}"
    another = target.replace("[en]", "[en, xa]")
    other_rate = another.replace("1.0e-3", "1.0e-4")
    again = [
        "predict tiny.paraphrase.s1.paraphrase",
        "predict tiny.nli-paraphrase.s1.paraphrase",
        "score tiny.none.paraphrase.s1",
        "score tiny.nli.paraphrase.s1",
        STUDY,
    ]
    finished.edit(CONFIG, target, another)
    assert finished.jobs() == sorted(["prepare paraphrase", *again])  # predicted alone
    after = finished.files("results/predictions/*/*.jsonl")
    assert {path: after[path] for path in before} == before
    new = {os.path.basename(path)[:8] for path in after.keys() - before.keys()}
    assert (new, len(after) - len(before)) == ({"xa.test."}, 2)
    assert data.items() <= finished.files("results/data/*/*").items()

    finished.edit(CONFIG, another, other_rate)
    trained = ["train tiny.paraphrase.s1", "train tiny.nli-paraphrase.s1"]
    assert finished.jobs() == sorted([*trained, *again])
    assert finished.jobs() == []
    finished.edit(CONFIG, other_rate, target)
    assert finished.jobs() == [STUDY]


def test_an_earlier_configuration_costs_its_tables(finished):
    first = (finished.folder / "results/studies/small/table.md").read_text()
    finished.edit(CONFIG, "[none, nli]", "[none]")
    assert finished.jobs() == [STUDY]
    assert (finished.folder / "results/studies/small/table.md").read_text() != first
    finished.edit(CONFIG, "[none]", "[none, nli]")
    assert finished.jobs() == [STUDY]
    assert (finished.folder / "results/studies/small/table.md").read_text() == first
    assert finished.jobs() == []


def test_another_study_shares_the_cells(finished):
    text = (finished.folder / CONFIG).read_text().replace("study: small", "study: other")
    (finished.folder / "other.yaml").write_text(text)
    other = ["--configfile", "other.yaml"]
    assert finished.jobs(*other) == ["tables and figures of study other"]
    assert finished.jobs(*other) == []
    assert finished.jobs() == []


def test_touching_every_file_runs_nothing(finished):
    paths = [path for path in finished.folder.rglob("*") if path.is_file()]
    for number, path in enumerate(sorted(paths, reverse=True)):  # inputs newer than outputs
        os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
    assert finished.jobs() == []


def test_a_copy_elsewhere_runs_nothing(first_run, tmp_path):
    copy = first_run[0].copy(tmp_path / "elsewhere", leave_out=".snakemake")
    assert not (copy.folder / ".snakemake").exists()
    assert copy.jobs() == []


def test_deleted_results_are_made_again(finished):
    finished.one("results/studies/small/table.md").unlink()
    assert finished.jobs("--dry-run") == [STUDY]
    path = finished.one("results/predictions/tiny.paraphrase.s1.paraphrase.*/en.*.jsonl")
    content = path.read_bytes()
    path.unlink()
    assert finished.jobs("--dry-run") == ["predict tiny.paraphrase.s1.paraphrase", STUDY]
    finished.one("results/scores/tiny.nli.paraphrase.s1.*.json").unlink()
    assert finished.jobs() == [
        "predict tiny.paraphrase.s1.paraphrase",
        "score tiny.nli.paraphrase.s1",
        STUDY,
    ]
    assert path.read_bytes() == content
    assert finished.jobs() == []


def test_a_failed_job_leaves_the_rest_done(finished):
    data = finished.folder / "data"
    data.mkdir()
    (data / "tatoeba.deu-eng.deu").write_text("Hallo\nGuten Tag\n")
    (data / "tatoeba.deu-eng.eng").write_bytes(b"Hello\nGood \xff day\n")
    finished.edit(CONFIG, "tatoeba]", "tatoeba, mined]")
    score = finished.one("results/scores/tiny.nli.paraphrase.s1.*.json")
    score.unlink()
    run = finished.snakemake()
    assert run.status != 0
    assert run.jobs == ["prepare mined", "score tiny.nli.paraphrase.s1"]
    assert score.exists()
    assert "tatoeba.deu-eng.eng" in run.output
    assert "Traceback" not in run.output

    status = finished.run("xstilts", "status").output
    assert "tatoeba.deu-eng.eng" in status

    (data / "tatoeba.deu-eng.eng").write_text("Hello\nGood day\n")
    assert finished.jobs() == sorted(
        [
            "prepare mined",
            "predict tiny.init.mined",
            "predict tiny.nli.s1.mined",
            "score tiny.none.mined.s1",
            "score tiny.nli.mined.s1",
            STUDY,
        ]
    )
    assert finished.jobs() == []


def test_failed_new_language_loses_no_predictions(finished):
    paths = finished.folder.glob("results/predictions/*/*.jsonl")
    before = {str(path): path.read_bytes() for path in paths}
    languages = "languages: [en, xa]\n  splits:\n    train: {source: lab, kind: paraphrase"
    finished.edit(TASKS, languages, languages.replace("xa]", "xa, xb]"))
    finished.edit(CONFIG, "languages: [en]", "languages: [en, xa, xb]")
    finished.edit(CONFIG, "[none, nli]", "[none]")
    assert finished.jobs("--until", "prepare_paraphrase") == ["prepare paraphrase"]
    data = finished.one("results/data/paraphrase.xb.test.*/data.parquet")
    content = data.read_bytes()
    data.write_bytes(b"damaged")

    run = finished.snakemake()
    assert run.status != 0
    assert run.jobs == ["predict tiny.paraphrase.s1.paraphrase"]
    assert f"{data.relative_to(finished.folder)}: damaged" in run.output
    after = finished.files("results/predictions/*/*.jsonl")
    (new,) = after.keys() - before.keys()
    assert "/xa.test." in new  # predicted before xb failed
    assert {path: Path(path).read_bytes() for path in before} == before

    data.write_bytes(content)
    assert finished.jobs() == [
        "predict tiny.paraphrase.s1.paraphrase",
        "score tiny.none.paraphrase.s1",
        STUDY,
    ]
    assert finished.files("results/predictions/*/*.jsonl").items() >= {(new, after[new])}
    assert finished.jobs() == []


def test_why_names_the_setting_that_differs(finished):
    finished.edit(
        CONFIG,
        "languages: [en]\n    train: {learning_rate: 1.0e-3}",
        "languages: [en]\n    train: {learning_rate: 1.0e-4}",
    )
    run = finished.run("xstilts", "why", "tiny.none.paraphrase.s1")
    assert run.status == 0, run.output
    assert "settings.learning_rate is 0.0001 here, 0.001 in tiny.paraphrase.s1." in run.output


def test_released_weights_are_trained_again_if_needed(finished):
    def weights():
        found = finished.folder.glob("results/checkpoints/*/model.safetensors")
        return {path.parent.name.split(".")[1] for path in found}

    pretrained = {chain for chain in weights() if chain.startswith(("init", "pretrain"))}
    assert pretrained < weights()
    finished.edit(CONFIG, "seeds: [1]", "seeds: [1]\nkeep: none")
    assert finished.jobs() == [STUDY]
    assert weights() == pretrained
    assert finished.jobs() == []
    finished.edit(CONFIG, "targets: [", "targets: [nli, ")
    assert finished.jobs() == sorted([*CHANGES["another target"][1], "train tiny.nli.s1"])
    assert weights() == pretrained
    assert "released: 4 checkpoints" in finished.run("xstilts", "status").output
