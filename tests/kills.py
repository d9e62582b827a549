"""Kill a run of the small study at random moments; its results must equal an undisturbed run.

    python -m tests.kills FOLDER --kills 200

Each kill is a SIGKILL of Snakemake and of all its processes. The run after the last kill must
finish, and its scores and predictions must equal those of the undisturbed run bit for bit.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
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


def kill_once(checkout: Checkout, seconds: float) -> bool:
    """Start the run and kill it after some seconds; return whether it had ended before."""
    with open(checkout.folder / "run.log", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--cores", "2"],
            cwd=checkout.folder,
            env=os.environ | {"PYTHONPATH": str(checkout.folder / "workflow")},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        return process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False


def disturb(checkout: Checkout, kills: int, longest: float, seed: int) -> int:
    """Kill the run `kills` times, and start it again when it has finished; return the kills."""
    chance, done = random.Random(seed), 0
    while done < kills:
        if kill_once(checkout, chance.uniform(1, longest)):
            break
        done += 1
        time.sleep(0.5)  # forks of the fork server end with it
        unlocked = checkout.snakemake("--unlock")
        assert unlocked.status == 0, unlocked.output
    return done


def main() -> int:
    """Run the comparison; return 0 if all results are equal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="an empty folder")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--longest", type=float, default=40, help="seconds before a kill")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    undisturbed = new_checkout(options.folder / "undisturbed")
    assert undisturbed.snakemake().status == 0
    expected, total, rounds = results(undisturbed.folder), 0, 0
    while total < options.kills:
        rounds += 1
        checkout = new_checkout(options.folder / f"killed{rounds}")
        total += disturb(checkout, options.kills - total, options.longest, options.seed + rounds)
        last = checkout.snakemake()
        log = (checkout.folder / "run.log").read_text() + last.output
        assert last.status == 0, last.output
        assert "Traceback" not in log, log
        assert results(checkout.folder) == expected, checkout.folder
        assert not list(checkout.folder.glob("results/scratch/*")), "litter"
        print(f"round {rounds}: {total} kills, {len(expected)} files equal", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
