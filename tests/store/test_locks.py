"""Locks: one process at a time, whatever became of the others."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests import PATIENCE, eventually
from xstilts import store
from xstilts.store import locks

HOLD = """
import sys, time
from xstilts.store import locks
with locks.held(["x"]):
    print("held", flush=True)
    time.sleep(3600)
"""
COUNT = """
import os, sys, time
from pathlib import Path
from xstilts.store import locks
for _ in range(20):
    with locks.held(["x"]):
        number = int(Path("count").read_text())
        time.sleep(0.002)
        Path("count").write_text(str(number + 1))
"""


@pytest.fixture(autouse=True)
def quick(tmp_path, monkeypatch):
    """In an empty folder, with waits of milliseconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(locks, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(locks, "_TOUCH_SECONDS", 0.2)
    store.SCRATCH.mkdir(parents=True)


@pytest.fixture
def holder():
    """Another process, which has the lock of x."""
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def write(host: str, **others) -> None:
    """A lock of some process, of this host if `host` is empty."""
    holder = locks.this_process().model_dump() | others | ({"host": host} if host else {})
    store.write_json(store.lock_file("x"), holder)


def taken(caplog) -> str:
    """Take the lock, in a thread, which must succeed soon; what is said."""
    with caplog.at_level("INFO", "xstilts"):
        thread = threading.Thread(target=lambda: locks.held(["x"]).__enter__(), daemon=True)
        thread.start()
        thread.join(PATIENCE)
    assert not thread.is_alive(), caplog.text
    return caplog.text


def waits(caplog) -> str:
    """Fail to take the lock; what is said meanwhile."""

    def hold():
        with locks.held(["x"]):
            got.append(True)

    got = []
    with caplog.at_level("INFO", "xstilts"):
        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        assert eventually(lambda: "waiting" in caplog.text)
        thread.join(0.3)
        assert not got
    store.lock_file("x").unlink()
    thread.join(PATIENCE)
    assert got
    return caplog.text


def test_processes_take_turns(tmp_path):
    (tmp_path / "count").write_text("0")
    crowd = [subprocess.Popen([sys.executable, "-c", COUNT]) for _ in range(3)]
    assert [process.wait(PATIENCE) for process in crowd] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "60"
    assert list(store.SCRATCH.iterdir()) == []


def test_who_waits_says_for_whom(holder, caplog):
    said = waits(caplog)
    assert f"x: process {holder.pid} on " in said
    assert "is making it; waiting" in said


def test_a_process_that_was_killed_holds_no_lock(holder, caplog):
    holder.kill()
    holder.wait()
    assert store.lock_file("x").exists()
    assert f"took over the lock of process {holder.pid}" in taken(caplog)


def test_a_process_that_stands_still_keeps_its_lock(holder, caplog):
    holder.send_signal(signal.SIGSTOP)
    os.utime(store.lock_file("x"), (0, 0))
    waits(caplog)


def test_reused_process_number_is_another_holder(caplog):
    write("", started=time.time() - 86400)
    os.utime(store.lock_file("x"), (time.time() - 181,) * 2)
    taken(caplog)


def test_a_holder_is_known_though_the_clock_was_set(caplog):
    write("", started=time.time() - 86400)
    waits(caplog)


def test_lock_survives_file_server_outage(monkeypatch):
    write("elsewhere")
    os.utime(store.lock_file("x"), (time.time() - 600,) * 2)
    monkeypatch.setattr(locks.time, "sleep", lambda seconds: os.utime(store.lock_file("x")))
    assert not locks._stale(store.lock_file("x"), locks._holder(store.lock_file("x")))


def test_untouched_lock_of_another_host_is_stale(caplog):
    write("elsewhere", slurm_job="12")
    os.utime(store.lock_file("x"), (time.time() - 181,) * 2)
    assert "on elsewhere of SLURM job 12" in taken(caplog)


@pytest.mark.parametrize("where", [{"host": "elsewhere"}, {"host": "", "processes": "container"}])
def test_touched_lock_of_another_host_is_kept(caplog, where):
    write(**where, pid=1 << 22)
    os.utime(store.lock_file("x"), (time.time() - 100,) * 2)
    waits(caplog)


def test_a_lock_that_is_not_written_yet_is_kept(caplog):
    store.lock_file("x").touch()
    assert "another process is making it" in waits(caplog)


def test_the_holder_touches_its_lock(monkeypatch):
    monkeypatch.setattr(locks, "_TOUCH_SECONDS", 0.02)
    with locks.held(["x"]):
        os.utime(store.lock_file("x"), (0, 0))
        assert eventually(lambda: store.lock_file("x").stat().st_mtime > 0)


def test_a_holder_that_lost_its_lock_ends(tmp_path):
    code = HOLD.replace("with locks", "locks._TOUCH_SECONDS = 0.05\nwith locks", 1)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    write("elsewhere", token="another")
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == locks.LOST
    assert "x.lock: lost to another process" in said
    assert json.loads(store.lock_file("x").read_text())["token"] == "another"


@pytest.mark.parametrize("content", ["[]", "{}", "null", "\0", '{"host": 1}'])
def test_a_damaged_lock_is_taken_over(caplog, content):
    store.lock_file("x").write_text(content)
    assert "took over the lock of another process" in taken(caplog)


def test_a_lock_tells_whether_its_holder_lives(holder):
    assert locks.is_live("x")
    holder.kill()
    holder.wait()
    assert not locks.is_live("x")
    write("elsewhere")
    assert locks.is_live("x")
    os.utime(store.lock_file("x"), (time.time() - 181,) * 2)
    assert not locks.is_live("x")
    assert not locks.is_live("y")


def test_locks_work_without_hard_links(monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with locks.held(["x"]):
        assert json.loads(store.lock_file("x").read_text())["pid"] == os.getpid()
    assert not list(store.SCRATCH.iterdir())


def test_a_full_disk_leaves_no_empty_lock(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"), locks.held(["x"]):
        pass
    assert not list(store.SCRATCH.iterdir())
