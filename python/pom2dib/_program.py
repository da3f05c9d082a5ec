"""The program as a process of its own: how it is started, and what it says.

Runs are never made in the caller's process. So none changes its signal handlers, ends it, or holds its lock, and several may go on
at a time, also in a process that was forked.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ._errors import Error, InternalError

#: What a Rust program that panicked ends with.
_PANICKED = 101

#: What a program complains of whose thread or task panicked, at itself or at one of its nodes. Group 1 is the node's role, 2 its number.
_OF_THREAD = re.compile(r"(?:(transmitter|receiver) (\d+): )?.*?(?:the compute thread panicked|\btask \d+ panicked)")

#: How long what is told to end may take over its last checkpoints, in seconds.
_LAST_CHECKPOINT = 40.0


def start() -> list[str]:
    """The command that starts the program; what it is to do comes behind."""
    if not sys.executable:
        raise Error("this interpreter does not know its own path (sys.executable), and so cannot start nodes", status=2)
    return [sys.executable, "-m", "pom2dib"]


def call(*words: str | os.PathLike[str]) -> str:
    """Runs a command of the program and returns what it prints, for example ``call("check", "mine.toml")``.

    Raises:
        Error: with the line that the command complains with.
    """
    # A group of its own: a terminal's Ctrl-C comes by the caller, who waits until what it is to save is saved.
    process = subprocess.Popen(
        [*start(), *(os.fspath(word) for word in words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        encoding="utf-8",
        errors="replace",
    )
    try:
        printed, said = process.communicate()
    except BaseException:
        end(process)
        raise
    if process.returncode != 0:
        raise error(process.returncode, said.splitlines())
    return printed


def end(process: subprocess.Popen[Any]) -> None:
    """Tells a process to save what it has and to end; one that takes too long is killed, as at a second Ctrl-C."""
    process.terminate()
    try:
        process.wait(_LAST_CHECKPOINT)
    except BaseException as impatience:
        process.kill()
        process.wait()
        if not isinstance(impatience, subprocess.TimeoutExpired):
            raise


def error(status: int, said: Iterable[str], folder: Path | None = None) -> Error:
    """The exception for a program that ended so, after saying so; ``folder`` is its run's."""
    said = [line for line in said if line.strip()]
    complaints = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
    if status == _PANICKED:
        return InternalError(_panic(said) or "the program panicked", status)
    if complaints and (found := _OF_THREAD.match(complaints[-1])):
        return InternalError(_of_thread(complaints[-1], found, said, folder), status)
    if complaints:
        return Error(complaints[-1], status)
    if status < 0:
        return Error(f"the program was killed by signal {-status}", status)
    return Error(said[-1] if said else f"the program ended with status {status} and said nothing", status)


def _panic(said: Sequence[str]) -> str | None:
    """The last panic of what was said, on one line: where it was, and what it says."""
    panics = [at for at, line in enumerate(said) if " panicked at " in line]
    return " ".join(said[panics[-1] :][:2]) if panics else None


def _of_thread(complaint: str, found: re.Match[str], said: Sequence[str], folder: Path | None) -> str:
    """What to say of a thread that panicked: what it said itself, here or in its node's log."""
    role, number = found.groups()
    if role is None:
        return _panic(said) or complaint
    log = f"logs/{role}-{number}.log" if folder is None else str(folder / "logs" / f"{role}-{number}.log")
    try:
        written = [line for line in Path(log).read_text("utf-8", "replace").splitlines() if line.strip()] if folder is not None else []
    except OSError:
        # All nodes were tasks of one process.
        written = []
    panic = _panic(said) or _panic(written)
    return f"{role} {number}: {panic or f'a thread panicked; what it said is in {log}, or where the node was started'}"
