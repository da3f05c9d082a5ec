"""How far a run is, where somebody looks: a line in a terminal or a notebook."""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any

from ._rounds import Round

_WIDTH = 30


class Progress:
    """A bar over a run's rounds. Draws nothing where there is neither a terminal nor a notebook."""

    def __init__(self, rounds: int | None, wanted: bool) -> None:
        self._rounds = rounds
        self._began = time.monotonic()
        self._first: int | None = None
        self._display: Any = _notebook_display() if wanted else None
        self._terminal = wanted and self._display is None and sys.stderr is not None and sys.stderr.isatty()

    def update(self, round: Round) -> None:
        """A round is done."""
        if self._first is None:
            self._first = round.round
        if self._display is not None:
            self._display.update({"text/plain": self._line(round)}, raw=True)
        elif self._terminal:
            print("\r\x1b[2K" + self._line(round), end="", file=sys.stderr, flush=True)

    def _line(self, round: Round) -> str:
        done = round.round + 1
        figures = f"N-CE {round.n_ce:.3f}  sum-rate {round.sum_rate:.1f} nats"
        if not self._rounds:
            return f"round {done}  {figures}"
        filled = min(_WIDTH, _WIDTH * done // self._rounds)
        bar = "█" * filled + "░" * (_WIDTH - filled)
        pace = (time.monotonic() - self._began) / max(1, done - (self._first or 0))
        left = round_seconds(pace * max(0, self._rounds - done))
        return f"{bar} {done}/{self._rounds} rounds  {figures}  {left} left"

    def end(self) -> None:
        """Takes the bar away from a terminal; a notebook keeps its last line."""
        if self._terminal and self._first is not None:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)


def round_seconds(seconds: float) -> str:
    """A time as minutes and seconds."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}"


def _notebook_display() -> Any:
    """A line of a notebook's output that can be changed; none outside of one."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    return importlib.import_module("IPython.display").display({"text/plain": "the run begins"}, raw=True, display_id=True)
