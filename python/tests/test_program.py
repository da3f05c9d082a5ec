"""The command, and how its processes are started."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import pom2dib

COMMAND = str(Path(sysconfig.get_path("scripts")) / "pom2dib")


def test_the_command_and_the_module_are_the_same_program() -> None:
    for start in ([COMMAND], [sys.executable, "-m", "pom2dib"]):
        said = subprocess.run([*start, "--version"], capture_output=True, text=True)
        assert (said.returncode, said.stderr) == (0, "")
        assert said.stdout.startswith("pom2dib 0.")


def test_the_command_runs_a_network_whose_nodes_are_processes_of_this_environment(place: Path) -> None:
    # This interpreter's own executable is outside of the environment, and does not know the program there.
    assert sys.prefix != sys.base_prefix, "the tests are to be run in an environment of their own"
    done = subprocess.run([COMMAND, "run", "tiny.toml", "--out", "a"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "fingerprint" in done.stdout
    logs = {log.name: log.read_text() for log in Path("a/logs").iterdir()}
    assert set(logs) == {f"{role}-{index}.log" for role in ("transmitter", "receiver") for index in (0, 1)}
    assert set(logs.values()) == {""}


def test_wrong_input_ends_with_status_2_and_one_line() -> None:
    done = subprocess.run([COMMAND, "run", "--sed", "1"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: unexpected argument '--sed'")


def test_calling_a_command_gives_what_it_prints_or_raises_what_it_complains_of() -> None:
    assert '"name":"tiny"' in pom2dib.call("check", Path("tiny.toml"), "--json").replace(" ", "")
    with pytest.raises(pom2dib.Error, match="nowhere.toml") as raised:
        pom2dib.call("check", "nowhere.toml")
    assert raised.value.status == 2


def test_a_panic_is_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    says = "import sys; print(\"\\nthread 'main' (7) panicked at src/a.rs:1:2:\\nwhat a pity\\nnote: more\", file=sys.stderr); sys.exit(101)"
    monkeypatch.setattr("pom2dib._program.start", lambda: [sys.executable, "-c", says])
    with pytest.raises(pom2dib.InternalError, match="panicked at src/a.rs:1:2: what a pity") as raised:
        pom2dib.call("check")
    assert raised.value.status == 101


@pytest.mark.parametrize("where", ["log", "here", "nowhere"])
def test_a_panic_of_a_node_is_an_internal_error_with_what_it_said(where: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panic = "\nthread '<unnamed>' (7) panicked at src/a.rs:1:2:\nwhat a pity\nnote: more\n"
    logs = place / "a" / "logs"
    logs.mkdir(parents=True)
    (logs / "receiver-1.log").write_text(panic if where == "log" else "")
    said = "folder a\n" + (panic if where == "here" else "") + "error: receiver 1: the compute thread panicked; its message stands above\n"
    says = f"import sys; sys.stderr.write({said!r}); sys.exit(1)"
    monkeypatch.setattr("pom2dib._live.start", lambda: [sys.executable, "-c", says])
    with pytest.raises(pom2dib.InternalError) as raised:
        pom2dib.run("tiny.toml", out="a")
    told = "thread '<unnamed>' (7) panicked at src/a.rs:1:2: what a pity"
    if where == "nowhere":
        told = f"a thread panicked; what it said is in {logs / 'receiver-1.log'}, or where the node was started"
    assert (str(raised.value), raised.value.status) == (f"receiver 1: {told}", 1)


def test_importing_it_brings_nothing_that_is_slow() -> None:
    heavy = "import sys, pom2dib; print([name for name in ('numpy', 'pandas', 'matplotlib', 'torch') if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
