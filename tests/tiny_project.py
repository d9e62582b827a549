"""A project of tiny models and datasets that tests train and predict with."""

import shutil
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = ["en", "xa"]


def _lab(kind: str, train: int = 48, **others: int) -> dict:
    sizes = {"train": train, **others}
    return {
        split: {"source": "lab", "kind": kind, "size": size}
        for split, size in sizes.items()
        if size
    }


def _task(family: str, kind: str, metric: str, **encode) -> dict:
    return {
        "family": family,
        "roles": ["intermediate", "target"],
        "languages": LANGUAGES,
        "splits": _lab(kind, validation=16, test=16),
        "metrics": [metric],
        "encode": {"max_length": 48, **encode},
    }


TASKS = {
    "text": {
        "family": "mask",
        "roles": ["pretraining", "intermediate"],
        "languages": LANGUAGES,
        "splits": _lab("text", 80),
        "encode": {"max_length": 48},
    },
    "nli": _task("classify", "nli", "accuracy"),
    "paraphrase": _task("classify", "paraphrase", "accuracy"),
    "completion": _task("choose", "completion", "accuracy"),
    "entities": _task("tag", "entities", "f1"),
    "reading": _task("answer", "reading", "f1", max_question_length=20, stride=4),
    "tatoeba": {
        "family": "mine",
        "roles": ["target"],
        "languages": ["xa"],
        "splits": {"test": {"source": "lab", "kind": "translation", "size": 16}},
        "metrics": ["accuracy"],
        "encode": {"max_length": 48},
    },
}
TASK_OF = {
    "classify": "nli",
    "choose": "completion",
    "tag": "entities",
    "answer": "reading",
    "mask": "text",
}


def architecture(model_type: str = "xlm-roberta", dropout: float = 0.0) -> dict:
    """Return the settings of a model with a few thousand weights."""
    return {
        "model_type": model_type,
        "num_hidden_layers": 1,
        "hidden_size": 16,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 80,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        "initializer_range": 0.2,
        # disentangled attention; other architectures ignore these
        **(
            {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
            if "deberta" in model_type
            else {}
        ),
    }


def _model(**given) -> dict:
    tokenizer = {"task": "text", "vocabulary": 200}
    return {"init": {"architecture": architecture(**given), "tokenizer": tokenizer}}


MODELS = {
    "xlmr": _model(),
    "dropout": _model(dropout=0.2),
    "bert": _model(model_type="bert"),
    "deberta": _model(model_type="deberta-v2"),
}
STUDY = {
    "study": "small",
    "models": list(MODELS),
    "recipes": ["none"],
    "targets": ["nli"],
    "seeds": [1],
    "train": {"max_steps": 30, "batch_size": 8, "learning_rate": 1e-3},
}


def make_grid(**study):
    """Return the tiny project's grid; keywords change its study."""
    from xstilts.config.project import Project
    from xstilts.grid.grid import Grid

    values = {"study": {**STUDY, **study}, "tasks": TASKS, "models": MODELS}
    return Grid(Project.model_validate(values))


def with_resources(grid, models=None, **needs):
    """Return a grid in which models, by default all, have these resources."""
    from xstilts.config.resources import ModelNeeds
    from xstilts.grid.grid import Grid

    entries = dict(grid.project.models)
    for name in models or entries:
        entries[name] = entries[name].model_copy(update={"resources": ModelNeeds(**needs)})
    return Grid(grid.project.model_copy(update={"models": entries}))


def make_files_grid(folder: Path, tasks: dict[str, dict], **study):
    """Return the grid of the tiny project with other targets, which read files in `folder`."""
    from xstilts.config.project import Project
    from xstilts.grid.grid import Grid
    from xstilts.grid.raw_files import fingerprint

    study = {**STUDY, "models": ["xlmr"], "targets": [*tasks], "data": str(folder), **study}
    values = {"study": study, "tasks": {**TASKS, **tasks}, "models": MODELS}
    return Grid(fingerprint(Project.model_validate(values), folder / "memory")[0])


def fill() -> None:
    """Prepare all data and initialise all models in the working directory, on one thread."""
    import torch
    import transformers

    from xstilts.stages import initialise, prepare

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    grid = make_grid()
    datasets = [
        grid.data.dataset(name, language, split)
        for name, task in TASKS.items()
        for language in task["languages"]
        for split in task["splits"]
    ]
    prepare.run(datasets, grid.project)
    for model in MODELS:
        initialise.run(grid.trainings.root(model))


@dataclass(frozen=True)
class Workspace:
    """A working directory with a results store, in which a test runs."""

    folder: Path

    def step(self, recipe: str, model: str = "xlmr", seed: int = 1, **study):
        """Return the checkpoint at the end of a recipe; it is not trained yet."""
        from xstilts.recipe import parse

        return make_grid(**study).trainings.step(model, parse(recipe), seed)

    def train(self, step, **options) -> dict[str, bytes]:
        """Train or merge a checkpoint in this process, and return the bytes of its files."""
        from xstilts.config.training import TrainingOptions
        from xstilts.stages import merge, train

        if step.merged:
            merge.run(step)
        else:
            train.run(step, TrainingOptions(**options))
        return self.files(step)

    def reference(self, step, **options) -> dict[str, bytes]:
        """Train a checkpoint, and return the bytes of its files; the checkpoint is deleted."""
        files = self.train(step, **options)
        shutil.rmtree(step.path)
        return files

    def weights(self, step, **options) -> dict:
        """Train a checkpoint, and return its weights; they may be trained again."""
        from xstilts.modelling.checkpoints import load_weights

        self.train(step, **options)
        (Path(step.path) / "manifest.json").unlink()
        return load_weights(Path(step.path))

    def score(self, grid) -> None:
        """Train, predict and score all cells of a grid."""
        from xstilts.grid import state
        from xstilts.stages import predict, score

        for wanted in [*grid.scores(), *grid.aside()]:
            for node in wanted.predictions.checkpoint.lineage()[1:]:
                if not state.is_done(node):
                    self.train(node)
            predict.run(wanted.predictions)
            score.run(wanted)

    def files(self, step) -> dict[str, bytes]:
        """Return the files of a checkpoint's model, without log and manifest."""
        from xstilts import store

        store.Manifest.verify(Path(step.path))
        omitted = ("manifest.json", "training.jsonl")
        return {p.name: p.read_bytes() for p in Path(step.path).iterdir() if p.name not in omitted}

    def arguments(self, stage: str, id: str, *options: str, **study) -> list[str]:
        """Write the study's snapshot, and return the arguments of a command that runs a stage."""
        from xstilts.report.view import StudyView

        view = StudyView(make_grid(**study))
        view.write_snapshot()
        return [stage, "--study", str(view.snapshot), *options, id]

    def saves(self, step) -> list[int]:
        """Return the optimiser steps with a complete save."""
        folder = Path("results/scratch") / step.id / "trainer"
        found = folder.glob("checkpoint-*/manifest.json")
        return sorted(int(path.parent.name.split("-")[1]) for path in found)
