"""Channels of the caller's own: on arrays, always; by PyTorch's autograd, where it is installed (test_torch.py)."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import numpy
import pytest

import pom2dib


class Impulses(pom2dib.Channel):
    """Saturates, and is hit by impulses now and then."""

    def __init__(self, probability: float = 0.2, fault: str = "") -> None:
        self.probability, self.fault, self.calls = probability, fault, 0

    def send(self, crossing: pom2dib.Crossing, z: Any) -> Any:
        self.calls += 1
        hit = self.generator.random(z.shape) < self.probability
        arrived = numpy.tanh(z) + hit * self.generator.normal(0, 3, z.shape)
        if self.fault == "mixes":
            return arrived - arrived.mean(0)
        if self.fault == "draws":
            return arrived + numpy.random.default_rng().normal(size=z.shape)
        if not self.fault or self.calls < 20:
            return arrived
        if self.fault == "raises":
            raise ValueError(f"no air at tick {crossing.tick}\nand none later")
        return {"shape": arrived[:, 1:], "nan": arrived * numpy.nan, "words": arrived.astype(str)}[self.fault]

    def pull_back(self, crossing: pom2dib.Crossing, z: Any, gradient: Any) -> Any:
        assert crossing.phase == "train"
        return gradient * (1 - numpy.tanh(z) ** 2)


LINE = Impulses.send.__code__.co_firstlineno + 11


def test_a_run_over_it_is_killed_and_goes_on_and_comes_to_the_same(interrupt: Any) -> None:
    channels = [{"kind": "awgn", "snr_db": 10}, {"class": Impulses, "probability": 0.3, "transmitter": 0, "power": "entry"}]
    # What is drawn is verified where it is recorded.
    keys = {"checkpoint.every": 3, "train.rounds": 60, "record.draws": True}
    undisturbed = pom2dib.run("tiny.toml", set=keys, channels=channels, out="tasks", in_process=True)
    with pom2dib.start("tiny.toml", set=keys, channels=channels, out="killed") as live:
        interrupt(live, "receiver", 1)
    assert not live.result.is_finished
    killed = pom2dib.run(resume="killed")
    assert killed.summary["fingerprint"] == undisturbed.summary["fingerprint"]
    assert killed.summary["test"] == undisturbed.summary["test"]
    assert json.loads(pom2dib.call("evaluate", "killed", "--json"))["test"] == killed.summary["test"]
    assert killed.summary["reproducible"] == f"same build and thread count, with numpy {numpy.__version__}"
    assert killed.summary["channel"]["uses"] > 0 and killed.summary["channel"]["rate_received"] is None
    (table, own) = killed.scenario["channel"]
    assert (table["kind"], own["kind"], own["power"], own["parameters"]["probability"]) == ("awgn", "python", "entry", 0.3)


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("raises", rf"Impulses.send \({__file__}, line {LINE}\): ValueError: no air at tick \d+$"),
        ("shape", r"Impulses.send gives float64 \[20, 3\] for an array \[20, 4\]; it must give as many floats$"),
        ("words", r"Impulses.send gives <U\d+ \[20, 4\] for an array \[20, 4\]; it must give as many floats$"),
        ("nan", r"Impulses.send gives 80 of 80 numbers that are not finite, in \[20, 4\] \(the first at 0 x 0\) with values from"),
    ],
)
def test_what_it_does_wrong_in_a_round_is_one_line_that_names_node_class_and_place(fault: str, line: str) -> None:
    with pytest.raises(pom2dib.Error) as raised:
        pom2dib.run("tiny.toml", channels={"class": Impulses, "fault": fault}, set={"network.limits": False}, out="a")
    assert re.match(rf"receiver [01]: {line}", str(raised.value)), raised.value
    assert raised.value.status == 1
    logs = "".join(log.read_text() for log in Path("a/logs").glob("receiver-*.log"))
    assert ("Traceback (most recent call last)" in logs and "and none later" in logs) == (fault == "raises")


class OneWay(pom2dib.Channel):
    def send(self, crossing: pom2dib.Crossing, z: Any) -> Any:
        return z


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"class": Impulses, "fault": "mixes"}, 'channel 0: the channel "python" makes something else of a sample if another one changes'),
        ({"class": Impulses, "fault": "draws"}, 'channel 0: the channel "python" makes something else of the same values at a second call'),
        ({"class": Impulses, "depth": 3}, "channel 0: Impulses.__init__: TypeError: "),
        ({"class": Impulses, "snr_db": 3}, "channel 0: Impulses.__init__: TypeError: "),
        ([{"class": Impulses, "receiver": 2}], "channel 0: receiver is 2; it must be from 0 to 1"),
        ({"class": Impulses, "kind": "awgn"}, "channels has kind and class"),
        ([Impulses, int], "channels[1] is <class 'int'>: a class that derives from pom2dib.Channel is wanted"),
        ("json:JSONDecoder", "is <class 'json.decoder.JSONDecoder'>: a class that derives from pom2dib.Channel is wanted"),
        ("channels", 'channels is "channels"; name a class of an installed module'),
        ("nowhere_at_all:Fog", "class nowhere_at_all:Fog: No module named 'nowhere_at_all'; install the module where"),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_starts(given: Any, line: str) -> None:
    with pytest.raises(pom2dib.Error) as raised:
        pom2dib.run("tiny.toml", channels=given, out="a")
    assert line in str(raised.value) and "\n" not in str(raised.value)
    assert raised.value.status == 2
    assert not Path("a/metrics.jsonl").exists()


def test_without_a_way_back_pytorch_is_asked_for() -> None:
    if importlib.util.find_spec("torch") is not None:
        pytest.skip("torch is installed, and finds the way back")
    with pytest.raises(pom2dib.Error, match=r"OneWay has no pull_back: write .* pip install 'pom2dib\[torch\]'"):
        pom2dib.run("tiny.toml", channels=OneWay, out="a")
