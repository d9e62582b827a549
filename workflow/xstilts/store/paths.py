"""Paths in the results folder: the only list of them.

All paths are relative to the working directory, where `results/` is.
"""

from pathlib import Path

from xstilts.identity import shortened

RESULTS = Path("results")
SCRATCH = RESULTS / "scratch"  # unfinished artefacts, locks, messages of failed jobs
LOGS = RESULTS / "logs"
HANGUP_LOG = LOGS / "snakemake.log"  # output of a run whose terminal was closed
BENCHMARKS = RESULTS / "benchmarks"
STUDIES = RESULTS / "studies"
ENCODINGS = RESULTS / "encodings"  # token ids of data sets; may be deleted
RAW_MEMORY = SCRATCH / "raw.json"  # hashes of raw files that are already known

MANIFEST = "manifest.json"  # of a folder artefact: written last, so the folder is complete
RELEASED = "released.json"  # the manifest of a checkpoint whose weights were deleted
LOG = "training.jsonl"  # of a training, in its checkpoint
ABOUT = "about.json"  # next to predictions: what determined them

# Kind of artefact -> pattern of its path
HUB = f"{RESULTS}/hub/{{id}}"
DATA = f"{RESULTS}/data/{{id}}"
CHECKPOINT = f"{RESULTS}/checkpoints/{{id}}"
PREDICTIONS = f"{RESULTS}/predictions/{{id}}"
SCORE = f"{RESULTS}/scores/{{id}}.json"
SCORE_EXAMPLES = f"{RESULTS}/scores/{{id}}.parquet"
FOLDERS = [RESULTS / name for name in ("hub", "data", "checkpoints", "predictions", "scores")]


def log_file(phase: str, job: str) -> Path:
    """Path of a job's log."""
    return LOGS / phase / f"{job}.log"


def benchmark_file(phase: str, job: str) -> Path:
    """Path of the file in which Snakemake records a job's duration."""
    return BENCHMARKS / phase / f"{job}.tsv"


def encodings_file(name: str, digest: str) -> Path:
    """Path of the token ids of examples."""
    return ENCODINGS / f"{shortened(name)}.{digest}.ids"


def failure_file(id: str) -> Path:
    """Path of the message of an artefact's last failed job."""
    return SCRATCH / f"{id}.failed"


def lock_file(id: str) -> Path:
    """Path of the lock of the job that makes an artefact."""
    return SCRATCH / f"{id}.lock"


def verified_file(id: str) -> Path:
    """Path of the file that remembers which files of an artefact were checked."""
    return SCRATCH / f"{id}.verified"


def progress_file(id: str) -> Path:
    """Path of the file in which a training reports its progress."""
    return SCRATCH / id / "progress.json"


def snapshot_file(study: str, digest: str) -> Path:
    """Path of the snapshot of a study that the jobs of a run read; each run has its own."""
    return study_folder(study) / f"study.{digest}.json"


def shared_file(digest: str) -> Path:
    """Path of the file that lists the jobs of a run that make several artefacts."""
    return STUDIES / f"shared.{digest}.json"


def shared_files() -> list[Path]:
    """Return the existing files that `shared_file` names."""
    return list(STUDIES.glob("shared.*.json"))


def snapshots(study: str = "*") -> list[Path]:
    """Return the existing snapshots of a study, or of all studies, the newest last."""
    return sorted(STUDIES.glob(f"{study}/study.*.json"), key=lambda path: path.stat().st_mtime)


def study_folder(name: str) -> Path:
    """Path of a study's tables, figures and report."""
    return STUDIES / name
