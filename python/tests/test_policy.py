"""Rules of selection of the caller's own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy
import pytest

import pom2dib


class Bandit(pom2dib.Policy):
    """Chooses what has cost least so far, and now and then anything."""

    def __init__(
        self, node: tuple[str, int], items: int, limit: int, receivers: int, epsilon: float = 0.3, journal: str = "", fault: str = ""
    ) -> None:
        self.node, self.epsilon, self.journal, self.fault, self.calls = node, epsilon, journal, fault, 0
        # A receiver chooses for itself, a transmitter for each receiver.
        self.means = numpy.zeros((receivers if node[0] == "transmitter" else 1, items))
        if fault == "begins":
            self.means += numpy.random.default_rng().normal()

    def choose(self, decision: pom2dib.Decision) -> Any:
        assert decision.phase in ("train", "evaluate") and decision.u.shape == (4,) and decision.u.dtype == numpy.float32
        assert decision.strengths_db == [None] * (2 if self.node[0] == "receiver" else 1)
        order = numpy.argsort(self._of(decision.receiver), kind="stable")
        if self.generator.random() < self.epsilon:
            order = self.generator.permutation(order)
        self.calls += 1
        if self.fault == "remembers":
            return [self.calls % decision.items]
        if self.fault == "counts":
            self.means += 1
        if decision.tick >= 3:
            if self.fault == "raises":
                raise ValueError(f"no idea at tick {decision.tick}\nand none later")
            wrong: dict[str, list[Any]] = {"float": [0.5], "mask": [True], "beyond": [decision.items], "below": [-1]}
            return wrong.get(self.fault, order[: decision.limit])
        return order[: decision.limit]

    def learn(self, round: list[pom2dib.Judged]) -> None:
        for judged in round:
            for item in judged.items:
                self._of(judged.receiver)[item] += 0.05 * (judged.cost - self._of(judged.receiver)[item])
        if self.journal:
            told = [(judged.tick, judged.receiver, judged.items, judged.cost) for judged in round]
            with open(self.journal, "a") as journal:
                journal.write(json.dumps([self.node, told]) + "\n")

    def state(self) -> Any:
        return self.means if self.fault == "matrix" else self.means.ravel()

    def restore(self, state: Any) -> None:
        self.means = state.reshape(self.means.shape)

    def _of(self, receiver: int) -> Any:
        return self.means[receiver % len(self.means)]


LINE = Bandit.choose.__code__.co_firstlineno + 13

#: Each receiver has a choice between two transmitters.
KEYS = {"network.receiver_limit": 1}


def test_a_run_by_it_is_killed_and_goes_on_and_comes_to_the_same(interrupt: Any) -> None:
    keys = {**KEYS, "checkpoint.every": 3, "train.rounds": 60}
    policy = {"class": Bandit, "epsilon": 0.2}
    undisturbed = pom2dib.run("tiny.toml", set=keys, policy=policy, out="tasks", in_process=True)
    with pom2dib.start("tiny.toml", set=keys, policy=policy, out="killed") as live:
        interrupt(live, "transmitter", 0)
    assert not live.result.is_finished
    killed = pom2dib.run(resume="killed")
    assert killed.summary["fingerprint"] == undisturbed.summary["fingerprint"]
    assert killed.summary["test"] == undisturbed.summary["test"]
    assert json.loads(pom2dib.call("evaluate", "killed", "--json"))["test"] == killed.summary["test"]
    assert killed.summary["reproducible"] == f"same build and thread count, with numpy {numpy.__version__}"
    train = killed.scenario["train"]
    assert (train["selection"], train["selection_parameters"]["epsilon"]) == ("python", 0.2)


def test_it_learns_what_its_choices_did_cost(place: Path) -> None:
    journal = place / "journal"
    policy = {"class": Bandit, "journal": str(journal)}
    run = pom2dib.run("tiny.toml", set=KEYS, policy=policy, out="a", in_process=True)
    # Before the first round every policy is tried out, with a choice that cost 1.
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    lines = [(node, told) for node, told in lines if [cost for *_, cost in told] != [1.0]]

    def of(role: str, index: int) -> list[Any]:
        return [judged for node, told in lines if node == [role, index] for judged in told]

    asked: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for t in range(2):
        # Six rounds of three ticks.
        assert [(tick, receiver) for tick, receiver, *_ in of("receiver", t)] == [(tick, t) for tick in range(18)]
        for tick, _, (k,), cost in of("receiver", t):
            assert cost > 0
            asked.setdefault((k, tick), []).append((t, cost))
    assert {k for k, _ in asked} == {0, 1}, "it explores"
    for k, modalities in ((0, 3), (1, 2)):
        for tick, receiver, items, cost in of("transmitter", k):
            told = asked[(k, tick)]
            assert receiver in [t for t, _ in told] and cost == pytest.approx(sum(cost for _, cost in told))
            assert 1 <= len(set(items)) == len(items) <= 2 and set(items) <= set(range(modalities))
        assert len(of("transmitter", k)) == sum(len(told) for (other, _), told in asked.items() if other == k)

    again = pom2dib.run("tiny.toml", set=KEYS, policy=Bandit, out="b", in_process=True)
    assert again.summary["fingerprint"] == run.summary["fingerprint"]
    # Keys of the scenario go before those of the table.
    bolder = {**KEYS, "train.selection_parameters.epsilon": 0.9}
    other = pom2dib.run("tiny.toml", set=bolder, policy={"class": Bandit, "epsilon": 0.3}, out="c", in_process=True)
    assert other.summary["fingerprint"] != run.summary["fingerprint"]


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("raises", rf"Bandit.choose \({__file__}, line {LINE}\): ValueError: no idea at tick 3"),
        ("float", r"Bandit.choose gives float64 \[1\] at tick 3; it must give a list of integers"),
        ("mask", r"Bandit.choose gives bool \[1\] at tick 3; it must give a list of integers"),
        ("beyond", r"Bandit.choose gives item 2 at tick 3; there are 2, numbered from 0"),
        ("below", r"Bandit.choose gives item -1 at tick 3; there are 2, numbered from 0"),
    ],
)
def test_what_it_does_wrong_in_a_round_is_one_line_that_names_node_class_and_place(fault: str, line: str) -> None:
    # One case with processes, whose logs have the traceback.
    by_processes = fault == "raises"
    with pytest.raises(pom2dib.Error) as raised:
        pom2dib.run("tiny.toml", set=KEYS, policy={"class": Bandit, "fault": fault}, out="a", in_process=not by_processes)
    assert re.search(rf'the policy "python" of receiver [01] fails: {line}$', str(raised.value)), raised.value
    assert raised.value.status == 1
    if by_processes:
        logs = "".join(log.read_text() for log in Path("a/logs").glob("receiver-*.log"))
        assert "Traceback (most recent call last)" in logs and "and none later" in logs


class Idle(pom2dib.Policy):
    pass


class Forgetful(pom2dib.Policy):
    def choose(self, decision: pom2dib.Decision) -> list[int]:
        return [0]

    def state(self) -> list[float]:
        return [0.0]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"class": Bandit, "fault": "remembers"}, 'the policy "python" of receiver 0 chooses otherwise at a second call for the same tick'),
        ({"class": Bandit, "fault": "begins"}, 'the policy "python" of receiver 0 begins with another state when it is made again'),
        ({"class": Bandit, "fault": "counts"}, "Bandit.choose changes the state: only learn may"),
        ({"class": Bandit, "fault": "matrix"}, "Bandit.state gives float64 [1, 2]; it must give numbers side by side, on one axis"),
        ({"class": Bandit, "depth": 3}, "train.selection_parameters: Bandit.__init__: TypeError: "),
        (Idle, 'the policy "python" of receiver 0 fails: Idle.choose: NotImplementedError: Idle chooses nothing: write choose(decision)'),
        (Forgetful, "train.selection_parameters: Forgetful has a state, and does not take one back: write restore(state)"),
        ("json:JSONDecoder", "is <class 'json.decoder.JSONDecoder'>: a class that derives from pom2dib.Policy is wanted"),
        (int, "policy is <class 'int'>: a class that derives from pom2dib.Policy is wanted"),
        ({"epsilon": 0.1}, "policy is {'epsilon': 0.1}: a class that derives from pom2dib.Policy is wanted"),
        ("rules", 'policy is "rules"; name a class of an installed module'),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_starts(given: Any, line: str) -> None:
    with pytest.raises(pom2dib.Error) as raised:
        pom2dib.run("tiny.toml", set=KEYS, policy=given, out="a")
    assert line in str(raised.value) and "\n" not in str(raised.value)
    assert raised.value.status == 2
    assert not Path("a/metrics.jsonl").exists()


def test_a_method_that_leaves_it_no_choice_is_refused_and_so_is_another_rule_for_a_run_that_goes_on() -> None:
    with pytest.raises(pom2dib.Error, match='train.selection is "python", which method "tadib" leaves no choice'):
        pom2dib.run("tiny.toml", method="tadib", policy=Bandit, out="a")
    with pytest.raises(pom2dib.Error, match="resume goes on as the run began: leave out .* and policy"):
        pom2dib.run(resume="a", policy=Bandit)
