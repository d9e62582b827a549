"""Kill a run of the small study at random moments; its results must equal an undisturbed run.

    python -m tests.kills FOLDER --kills 200

Each kill is a SIGKILL of Snakemake and of all its processes. The run after the last kill must
finish, and its scores and predictions must equal those of the undisturbed run bit for bit.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tests.workflow.conftest import Checkout, new_checkout


def results(folder: Path) -> dict[str, str]:
    """Return scores without provenance, and predictions, by file."""
    found = {}
    for path in sorted(folder.glob("results/scores/*.json")):
        content = json.loads(path.read_text())
        del content["provenance"], content["sha256"]
        found[path.name] = json.dumps(content)
    for path in sorted(folder.glob("results/predictions/*/*.jsonl")):
        found[f"{path.parent.name}/{path.name}"] = path.read_text()
    return found


def kill_once(checkout: Checkout, seconds: float, in_jobs: bool) -> bool:
    """Start the run and kill it after some seconds, of its start or of its first job.

    Return whether it had ended before.
    """
    path = checkout.folder / "run.log"
    with open(path, "ab") as log:
        before = log.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--cores", "2"],
            cwd=checkout.folder,
            env=os.environ | {"PYTHONPATH": str(checkout.folder / "workflow")},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    while in_jobs and process.poll() is None and b"\nJob " not in path.read_bytes()[before:]:
        time.sleep(0.2)
    try:
        process.wait(seconds)
        return True
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False


def disturb(checkout: Checkout, kills: int, longest: float, seed: int) -> int:
    """Kill the run `kills` times, and start it again when it has finished; return the kills."""
    chance, done = random.Random(seed), 0
    while done < kills:
        if kill_once(checkout, chance.uniform(0, longest), chance.random() < 0.8):
            break
        done += 1
        time.sleep(0.5)  # forks of the fork server end with it
        shutil.rmtree(checkout.folder / ".snakemake/locks", ignore_errors=True)  # as --unlock
    return done


def scratch(checkout: Checkout) -> set[str]:
    """Names in the folder of unfinished artefacts, but for memories of checked files."""
    files = checkout.folder.glob("results/scratch/*")
    return {path.name for path in files if path.suffix != ".verified"}


def findings(checkout: Checkout, undisturbed: Checkout) -> dict[str, bool]:
    """Finish the run; return which faults were seen."""
    last = checkout.snakemake()
    log = (checkout.folder / "run.log").read_text() + last.output
    return {
        "lost": results(checkout.folder) != results(undisturbed.folder),
        "stuck": last.status != 0,
        "tracebacks": "Traceback" in log,
        "litter": bool(scratch(checkout) - scratch(undisturbed)),
    }


def main() -> int:
    """Run the comparison; return 0 if all results are equal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="an empty folder")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--longest", type=float, default=40, help="seconds before a kill")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    undisturbed = Checkout(options.folder / "undisturbed")
    if not undisturbed.folder.exists():
        assert new_checkout(undisturbed.folder).snakemake().status == 0
    total, rounds = 0, 0
    faults: Counter[str] = Counter()
    while total < options.kills:
        rounds += 1
        checkout = new_checkout(options.folder / f"killed{rounds}")
        total += disturb(checkout, options.kills - total, options.longest, options.seed + rounds)
        faults.update(findings(checkout, undisturbed))
        counts = ", ".join(f"{number} {name}" for name, number in faults.items())
        print(f"round {rounds}: {total} kills: {counts}", flush=True)
    return int(any(faults.values()))


if __name__ == "__main__":
    sys.exit(main())
