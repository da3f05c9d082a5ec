"""The bar over a run's rounds."""

from __future__ import annotations

import io
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import pom2dib


class Terminal(io.StringIO):
    """Looks like one."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_has_a_bar_that_is_taken_away_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    pom2dib.run("tiny.toml", out="a", in_process=True)
    lines = terminal.getvalue().split("\r\x1b[2K")
    # Rounds that come together are drawn one after the other.
    assert [line.split()[1] for line in lines[1:-1]] == [f"{done}/6" for done in range(1, 7)]
    assert lines[3].startswith("█" * 15 + "░" * 15 + " 3/6 rounds  N-CE -") and lines[3].endswith(" left")
    assert lines[0] == lines[-1] == ""


def test_nothing_is_drawn_where_nobody_looks_or_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, progress in ((io.StringIO(), True), (Terminal(), False)):
        monkeypatch.setattr(sys, "stderr", terminal)
        pom2dib.run("tiny.toml", rounds=1, out="a", in_process=True, progress=progress, force=True)
        assert terminal.getvalue() == ""


def test_a_notebook_has_a_line_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Handle:
        def update(self, data: dict[str, str], raw: bool) -> None:
            assert raw
            shown.append(data["text/plain"])

    def display(data: dict[str, str], raw: bool, display_id: bool) -> Handle:
        assert raw and display_id and data == {"text/plain": "the run begins"}
        return Handle()

    ipython: Any = ModuleType("IPython")
    shell = SimpleNamespace(kernel=object())
    ipython.get_ipython = lambda: shell
    ipython.display = ModuleType("IPython.display")
    ipython.display.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    # A shell in a terminal has no kernel, and gets the terminal's bar.
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    pom2dib.run("tiny.toml", out="a", in_process=True)
    assert len(shown) == 6 and shown[-1].startswith("█" * 30 + " 6/6 rounds") and terminal.getvalue() == ""
    del shell.kernel
    pom2dib.run("tiny.toml", rounds=1, out="b", in_process=True)
    assert len(shown) == 6 and "1/1 rounds" in terminal.getvalue()
