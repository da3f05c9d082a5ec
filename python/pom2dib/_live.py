"""A run under way."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from ._errors import Error
from ._program import call, end, error, start
from ._rounds import Follower, Round, last_round
from ._run import Run

_LOG = logging.getLogger("pom2dib")

#: Between two looks at the log, in seconds.
_LOOK_EVERY = 0.1


class Live(Iterator[Round]):
    """A run under way: its rounds as they come, and a hand on it.

    Iterating waits for rounds and ends with the run; what goes wrong is raised there. As a context manager it ends the run, with a
    checkpoint, if it has not ended by itself.
    """

    def __init__(self, words: list[str], folder: Path | None, *, goes_on: bool = False, keep: object = None) -> None:
        """Starts ``pom2dib run`` with these words. ``folder`` is the run's, if it is known; ``keep`` lives as long."""
        self._keep = keep
        self._folder = None if folder is None else folder.absolute()
        self._started = time.time_ns()
        self._after = last_round(folder / "metrics.jsonl") if folder is not None and goes_on else -1
        self._goes_on = goes_on
        self._said: list[str] = []
        self._folder_known = threading.Event()
        # A group of its own: a terminal's Ctrl-C is for the caller, who decides what it means for the run.
        self._process = subprocess.Popen(
            [*start(), "run", "--json", "--end-with-parent", "--say-folder", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            encoding="utf-8",
            errors="replace",
        )
        self._listener = threading.Thread(target=self._listen, name="pom2dib", daemon=True)
        self._listener.start()
        self._rounds = self._follow()

    def _listen(self) -> None:
        """Reads along what the program says: a pipe that nobody reads would stop it."""
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self._hear(line.rstrip("\n"))
        self._folder_known.set()

    def _hear(self, line: str) -> None:
        if line.startswith("folder ") and not self._folder_known.is_set():
            self._folder = Path(line.removeprefix("folder ")).absolute()
            self._folder_known.set()
        elif line.startswith("warning: "):
            _LOG.warning("%s", line.removeprefix("warning: "))
        elif line.startswith("note: "):
            _LOG.info("%s", line.removeprefix("note: "))
        elif not line.startswith(("page ", "rounds ", "evaluation passes ")):
            self._said.append(line)

    @property
    def folder(self) -> Path:
        """The run's folder. Waits until the program has said which it is.

        Raises:
            Error: if the run ended before.
        """
        self._folder_known.wait()
        if self._folder is None:
            self._end()
            raise Error("the run ended before it had a folder")
        return self._folder

    @property
    def pid(self) -> int:
        """The process that watches over the run's processes."""
        return self._process.pid

    def __iter__(self) -> Live:
        return self

    def __next__(self) -> Round:
        return next(self._rounds)

    def _follow(self) -> Iterator[Round]:
        # A log of before, that will be overwritten, says nothing of this run.
        newer_than = 0 if self._goes_on else self._started
        follower = Follower(self.folder / "metrics.jsonl", self._after, newer_than)
        running = True
        while running:
            running = self._process.poll() is None
            yield from follower.new()
            if running:
                time.sleep(_LOOK_EVERY)
        self._end()

    def _end(self) -> None:
        """Waits for the process, and raises what went wrong."""
        status = self._process.wait()
        self._listener.join()
        self._let_go()
        if status != 0:
            raise error(status, self._said, self._folder)

    def _let_go(self) -> None:
        """Closes the run's lifeline."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def wait(self) -> Run:
        """Waits for the end of the run; rounds that nobody has read are passed over.

        Raises:
            Error: if the run failed.
        """
        for _ in self:
            pass
        return self.result

    @property
    def result(self) -> Run:
        """What there is of the run so far."""
        return Run(self.folder, keep=self._keep)

    @property
    def is_running(self) -> bool:
        """Whether the run has not ended."""
        return self._process.poll() is None

    def pause(self) -> None:
        """Lets no more rounds begin; a few that were granted before still come."""
        self._manage("pause")

    def resume(self) -> None:
        """Lets a run that was paused go on."""
        self._manage("resume")

    def stop(self) -> None:
        """Ends the run with a checkpoint, from which ``pom2dib.run(resume=...)`` goes on. The rounds so far can still be read."""
        self._manage("stop")

    def _manage(self, what: str) -> None:
        """Tells the run something; one that has just begun is not there yet."""
        while True:
            try:
                call(what, self.folder)
                return
            except Error as refused:
                if not self.is_running:
                    self._end()
                    raise Error("the run has ended", refused.status) from None
                if "no run is under way" not in str(refused):
                    raise
            time.sleep(_LOOK_EVERY)

    def save_and_end(self) -> None:
        """What Ctrl-C does: the run saves a checkpoint, if it has begun, and ends. Raises nothing if that takes too long."""
        if self.is_running:
            end(self._process)

    def kill(self) -> None:
        """Ends the run at once, without a checkpoint. What it has started ends with it."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Live:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.save_and_end()
        self._listener.join()
        self._let_go()
