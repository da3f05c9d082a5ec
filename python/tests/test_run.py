"""Runs from their start to their end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import pom2dib

LONG = {"train.rounds": 100_000}


def test_a_run_has_its_summary_metrics_and_selection(finished: pom2dib.Run) -> None:
    assert finished.is_finished
    assert finished.summary["rounds"] == 6 and finished.summary["seed"] == 3
    assert [task["name"] for task in finished.summary["test"]["tasks"]] == ["parity", "digit"]
    metrics = finished.metrics
    assert list(metrics["round"]) == list(range(6))
    assert metrics["n_ce"].to_list() == pytest.approx((-metrics["ce.0"] - metrics["ce.1"]).to_list())
    selection = finished.selection
    assert len(selection) == 6 * 5 * 2
    last = selection[(selection["round"] == 5) & (selection["task"] == "digit")]
    names = list(zip(last["k"], last["m"], last["modality"]))
    assert names == [(0, 0, "noise-1"), (0, 1, "noise-2"), (0, 2, "fft"), (1, 0, "fft"), (1, 1, "mel")]
    assert selection["share"].between(0, 1).all() and selection["share"].sum() > 0
    assert pom2dib.load(finished.folder).summary == finished.summary


def test_keys_are_set_and_the_same_seed_gives_the_same_parameters(finished: pom2dib.Run) -> None:
    again = pom2dib.run("tiny.toml", seed=3, out="again", in_process=True)
    assert again.summary["fingerprint"] == finished.summary["fingerprint"]
    keys = {"train.beta": 0.25, "network.limits": False, "name": 'a "name"', "checkpoint.every": 2}
    other = pom2dib.run("tiny.toml", seed=3, rounds=2, method="tadib", set=keys, out="other")
    assert other.summary["rounds"] == 2 and other.summary["method"] == "tadib"
    scenario = other.scenario
    assert (scenario["train"]["beta"], scenario["name"]) == (0.25, 'a "name"')
    assert other.summary["fingerprint"] != again.summary["fingerprint"]


def test_without_a_folder_it_gets_a_fresh_one() -> None:
    first, second = (pom2dib.run("tiny.toml", rounds=1) for _ in range(2))
    assert first.folder == Path("runs/tiny-pom2dib-s1").absolute() and first.is_finished
    assert second.folder == Path("runs/tiny-pom2dib-s1-2").absolute() and second.is_finished


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"scenario": "none.toml"}, "none.toml"),
        ({"set": {"train.bta": 1}}, "unknown field `bta`"),
        ({"set": {"train.beta": "a lot"}}, "a lot"),
        ({"set": {"train.beta": None}}, "train.beta: a NoneType is no value of a scenario"),
        ({"resume": "a", "seed": 1}, "leave out scenario, seed"),
    ],
)
def test_wrong_input_is_raised_with_the_line_of_the_program(given: dict[str, object], line: str) -> None:
    with pytest.raises(pom2dib.Error) as raised:
        pom2dib.run(**{"scenario": "tiny.toml", **given})  # type: ignore[arg-type]
    assert line in str(raised.value) and "\n" not in str(raised.value)
    assert raised.value.status == 2


def test_a_folder_is_not_overwritten_unless_that_is_asked_for() -> None:
    assert pom2dib.run("tiny.toml", out="a", rounds=3).summary["rounds"] == 3
    with pytest.raises(pom2dib.Error, match="force"):
        pom2dib.run("tiny.toml", out="a", rounds=2)
    with pom2dib.start("tiny.toml", out="a", rounds=2, force=True) as live:
        assert [round.round for round in live] == [0, 1]
    assert pom2dib.load("a").summary["rounds"] == 2


def test_a_folder_that_holds_no_run_is_named(place: Path) -> None:
    with pytest.raises(pom2dib.Error, match="nowhere"):
        pom2dib.load("nowhere")
    run = pom2dib.Run(place)
    assert not run.is_finished
    with pytest.raises(pom2dib.Error, match="has not finished"):
        run.summary


def test_two_runs_of_one_interpreter_go_on_at_a_time(finished: pom2dib.Run) -> None:
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(pom2dib.run, "tiny.toml", seed=3, out=name) for name in ("a", "b")]
        fingerprints = {run.result().summary["fingerprint"] for run in runs}
    assert fingerprints == {finished.summary["fingerprint"]}


def test_a_forked_child_runs_networks_too(finished: pom2dib.Run) -> None:
    def run() -> None:
        Path("fingerprint").write_text(pom2dib.run("tiny.toml", seed=3, out="forked").summary["fingerprint"])

    child = multiprocessing.get_context("fork").Process(target=run)
    child.start()
    child.join(120)
    assert child.exitcode == 0
    assert Path("fingerprint").read_text() == finished.summary["fingerprint"]


def test_rounds_come_as_they_are_trained_and_a_run_can_be_held_and_stopped() -> None:
    with pom2dib.start("tiny.toml", set=LONG, out="a") as live:
        first = next(live)
        assert first.round == 0 and first.n_ce == pytest.approx(-sum(first.ce))
        live.pause()
        assert "paused" in pom2dib.call("status", live.folder)
        held = _settled(live)
        live.resume()
        rounds = []
        for round in live:
            rounds.append(round.round)
            if round.round == held + 20:
                live.stop()
        assert not live.is_running
        assert rounds == list(range(1, len(rounds) + 1)) and rounds[-1] > held
    run = live.result
    assert not run.is_finished and len(run.rounds) == len(rounds) + 1
    with pytest.raises(pom2dib.Error, match="has ended"):
        live.pause()
    done = pom2dib.run(resume="a", rounds=len(rounds) + 3)
    assert done.summary["rounds"] == len(rounds) + 3


def _settled(live: pom2dib.Live) -> int:
    """The last round, once no more come."""
    before = -1
    while True:
        now = live.result.rounds[-1].round
        if now == before:
            return now
        before = now
        time.sleep(1)


def test_whoever_lets_go_of_a_run_ends_it() -> None:
    with pom2dib.start("tiny.toml", set=LONG, out="a") as live:
        next(live)
    assert not live.is_running
    assert list(Path("a/checkpoints").glob("*/manifest.json")) or list(Path("a/checkpoints").iterdir())
    live = pom2dib.start("tiny.toml", set=LONG, out="b")
    next(live)
    live.kill()
    with pytest.raises(pom2dib.Error, match="killed by signal 9"):
        live.wait()


INTERRUPTED = """
import signal, pom2dib
# Started in the background by a shell, it would inherit that Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
try:
    pom2dib.run("tiny.toml", set={"train.rounds": 100000}, out="a")
except KeyboardInterrupt:
    print("interrupted")
assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
print(pom2dib.run("tiny.toml", rounds=2, out="b").summary["rounds"])
"""


def test_ctrl_c_saves_and_python_goes_on() -> None:
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True)
    log = Path("a/metrics.jsonl")
    _wait_until(lambda: log.exists() and log.read_text().count("\n") > 3)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "interrupted\n2\n")
    # It goes on from where it was saved.
    saved = len(pom2dib.load("a").rounds)
    with pom2dib.start(resume="a") as live:
        assert next(live).round >= saved - 1


def test_a_run_does_not_outlive_the_interpreter() -> None:
    script = 'import os, signal, pom2dib; live = pom2dib.start("tiny.toml", set={"train.rounds": 100000}, out="a"); next(live); print(live.pid); os.kill(os.getpid(), signal.SIGKILL)'
    said = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert said.returncode == -signal.SIGKILL
    _wait_until(lambda: not _is_there(int(said.stdout)))


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    # Who has ended but was not waited for is gone all the same.
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def _wait_until(what: "object") -> None:
    until = time.monotonic() + 60
    while not what():  # type: ignore[operator]
        assert time.monotonic() < until, "it has not come to that"
        time.sleep(0.05)
