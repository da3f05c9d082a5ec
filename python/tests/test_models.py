"""Networks of the caller's own: on arrays, always; in PyTorch, where it is installed (test_torch.py)."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy
import pytest

import pom2dib
from pom2dib import _classes


class Mlp(pom2dib.ArrayModule):
    """Two linear maps with a rectifier between them, with the names of the kind ``sequential``."""

    def __init__(self, shape: tuple[int, ...], out: int, width: int = 16) -> None:
        self.sizes = (int(numpy.prod(shape)), width, out)

    def initial(self, generator: numpy.random.Generator) -> dict[str, Any]:
        inputs, width, out = self.sizes
        return {
            "layer1.w": generator.normal(0, inputs**-0.5, (inputs, width)),
            "layer1.b": numpy.zeros(width),
            "output.w": generator.normal(0, width**-0.5, (width, out)),
            "output.b": numpy.zeros(out),
        }

    def forward(self, parameters: dict[str, Any], x: Any) -> tuple[Any, Any]:
        x = x.reshape(len(x), -1)
        hidden = numpy.maximum(x @ parameters["layer1.w"] + parameters["layer1.b"], 0)
        return hidden @ parameters["output.w"] + parameters["output.b"], (parameters, x, hidden)

    def backward(self, kept: Any, upstream: Any) -> tuple[dict[str, Any], Any]:
        parameters, x, hidden = kept
        inner = (upstream @ parameters["output.w"].T) * (hidden > 0)
        gradients = {
            "layer1.w": x.T @ inner,
            "layer1.b": inner.sum(0),
            "output.w": hidden.T @ upstream,
            "output.b": upstream.sum(0),
        }
        return gradients, inner @ parameters["layer1.w"].T


def test_jax_gives_the_gradients_of_the_same_network(still: dict[str, Any], checkpoint: Any) -> None:
    jax = pytest.importorskip("jax", reason="jax is not installed: networks in it are not tested")

    class InJax(Mlp):
        """What is kept of a forward pass is the function that goes back."""

        def forward(self, parameters: dict[str, Any], x: Any) -> tuple[Any, Any]:
            def network(parameters: dict[str, Any], x: Any) -> Any:
                hidden = jax.nn.relu(x.reshape(len(x), -1) @ parameters["layer1.w"] + parameters["layer1.b"])
                return hidden @ parameters["output.w"] + parameters["output.b"]

            output, back = jax.vjp(network, parameters, x)
            return output, back

        def backward(self, kept: Any, upstream: Any) -> tuple[dict[str, Any], Any]:
            gradients, at_input = kept(upstream)
            return gradients, at_input

    runs = [pom2dib.run("tiny.toml", set=still, decoders={"digit": of}, out=of.__name__, in_process=True) for of in (Mlp, InJax)]
    assert f"jax {jax.__version__}" in runs[1].summary["reproducible"]
    first, second = (checkpoint(run.folder, "receiver-1") for run in runs)
    for name in ("layer1.w", "layer1.b", "output.w", "output.b"):
        name = f"receiver1/joint/{name}"
        scale = numpy.abs(first[f"{name}.m"]).max()
        assert scale > 0 and numpy.allclose(first[f"{name}.m"], second[f"{name}.m"], rtol=0, atol=1e-4 * scale)


class Noisy(Mlp):
    """Draws in training."""

    def forward(self, parameters: dict[str, Any], x: Any) -> tuple[Any, Any]:
        if self.training:
            x = x * (self.generator.random(x.shape) > 0.1)
        return super().forward(parameters, x)


#: A network of one's own at every place that there is.
EVERYWHERE: dict[str, Any] = {
    "encoders": {"fft": Noisy, "mel": {"class": Mlp, "whole": True, "width": 24}},
    "decoders": {"digit": Mlp},
    "local_decoders": {"parity": {"class": Mlp, "width": 8}},
    "selectors": Mlp,
}


def test_its_gradients_are_those_of_the_same_layers_of_the_program(still: dict[str, Any], checkpoint: Any) -> None:
    layers = {"kind": "sequential", "layers": ["linear 16", "relu"]}
    ours = pom2dib.run("tiny.toml", set={**still, "network.joint.digit": layers}, out="ours", in_process=True)
    pom2dib.call("export", "ours", "--out", "networks")
    given = {"class": Mlp, "weights": {"file": "networks/receiver1-joint.safetensors"}}
    own = pom2dib.run("tiny.toml", set=still, decoders={"digit": given}, out="own", in_process=True)
    first, second = checkpoint(ours.folder, "receiver-1"), checkpoint(own.folder, "receiver-1")
    for name in ("layer1.w", "layer1.b", "output.w", "output.b"):
        name = f"receiver1/joint/{name}"
        assert numpy.allclose(first[name], second[name], rtol=0, atol=1e-20)
        # The first moment behind one step is a tenth of the gradient.
        scale = numpy.abs(first[f"{name}.m"]).max()
        assert scale > 0 and numpy.allclose(first[f"{name}.m"], second[f"{name}.m"], rtol=0, atol=1e-5 * scale)
    assert "reproducible" not in ours.summary
    assert own.summary["reproducible"] == f"same build and thread count, with numpy {numpy.__version__}"


def test_a_run_is_killed_and_goes_on_and_comes_to_the_same(interrupt: Any) -> None:
    keys = {"checkpoint.every": 3, "train.rounds": 60}
    undisturbed = pom2dib.run("tiny.toml", set=keys, **EVERYWHERE, threads=1, out="tasks", in_process=True)
    with pom2dib.start("tiny.toml", set=keys, **EVERYWHERE, threads=1, out="killed") as live:
        interrupt(live, "transmitter", 1)
    assert not live.is_running and not live.result.is_finished
    killed = pom2dib.run(resume="killed")
    assert killed.summary["fingerprint"] == undisturbed.summary["fingerprint"]
    judged = json.loads(pom2dib.call("evaluate", "killed", "--json"))
    assert judged["test"] == killed.summary["test"]

    # What it computes with goes with its folder, which its owner alone may read.
    (file,) = Path("killed").glob("classes-*.pkl")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    Path("killed").rename("moved")
    moved = Path("moved", file.name)
    with pytest.raises(pom2dib.Error, match=f"{file.name} is not there; .* add --python NEW_FOLDER/{file.name}"):
        pom2dib.call("model", "moved/scenario.toml")
    pom2dib.call("predict", "moved", "--python", moved, "--out", "answers.csv")
    Path("killed").mkdir()
    moved.rename(file)
    file.chmod(0o640)
    with pytest.raises(pom2dib.Error, match=f"others may read or write it.*: chmod 600 "):
        pom2dib.call("model", "moved/scenario.toml")
    file.chmod(0o600)
    file.write_bytes(file.read_bytes() + b"more")
    with pytest.raises(pom2dib.Error, match="its SHA-256 is .* and the scenario says"):
        pom2dib.call("model", "moved/scenario.toml")


class Late(Mlp):
    """Does what it should at first, and then not."""

    def __init__(self, shape: tuple[int, ...], out: int, what: str = "") -> None:
        super().__init__(shape, out)
        self.what, self.calls = what, 0

    def forward(self, parameters: dict[str, Any], x: Any) -> tuple[Any, Any]:
        self.calls += 1
        y, kept = super().forward(parameters, x)
        if self.calls < 6:
            return y, kept
        if self.what == "raises":
            raise ValueError("so many calls\nare too many")
        return {"shape": y[:, 1:], "nan": numpy.where(numpy.arange(len(y))[:, None] == 7, numpy.nan, y)}[self.what], kept


LINE = Late.forward.__code__.co_firstlineno + 6


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("raises", rf"Late.forward \({__file__}, line {LINE}\): ValueError: so many calls$"),
        ("shape", r"Late.forward gives \[(\d+), 63\] for an input \[\1, 1, 14, 14\]; it must give \[\1, 64\]$"),
        ("nan", r"Late.forward gives 64 of \d+ numbers that are not finite, in \[(\d+), 64\] \(the first at 7 x 0\) for an input \[\1, 1, 14, 14\] with"),
    ],
)
def test_what_it_does_wrong_in_a_round_is_one_line_that_names_node_class_and_place(what: str, line: str) -> None:
    table = {"class": Late, "what": what}
    with pytest.raises(pom2dib.Error) as raised:
        pom2dib.run("tiny.toml", encoders={"fft": table}, set={"network.limits": False}, out="a")
    assert re.match(rf"transmitter [01]: {line}", str(raised.value)), raised.value
    assert raised.value.status == 1
    logs = "".join(log.read_text() for log in Path("a/logs").glob("transmitter-*.log"))
    assert ("Traceback (most recent call last)" in logs and "are too many" in logs) == (what == "raises")


class Mixed(Mlp):
    def forward(self, parameters: dict[str, Any], x: Any) -> tuple[Any, Any]:
        return super().forward(parameters, x - x.mean(0))


class Writes(Mlp):
    def forward(self, parameters: dict[str, Any], x: Any) -> tuple[Any, Any]:
        parameters["output.b"] += 1
        return super().forward(parameters, x)


class Unnamed(Mlp):
    def backward(self, kept: Any, upstream: Any) -> tuple[dict[str, Any], Any]:
        gradients, at_input = super().backward(kept, upstream)
        return {**gradients, "output.b": upstream}, at_input


class Nothing(Mlp):
    def initial(self, generator: numpy.random.Generator) -> dict[str, Any]:
        return {}


class Empty(pom2dib.ArrayModule):
    """Says nothing."""


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"class": Mixed}, "network.joint.digit: Mixed.forward gives another output for a row if other rows are there"),
        ({"class": Writes}, "Writes.forward"),
        ({"class": Unnamed}, "network.joint.digit: Unnamed.backward gives output.b as [3, 10]; it must be [10]"),
        ({"class": Nothing}, "network.joint.digit: Nothing has nothing that learns"),
        ({"class": Empty}, "Empty.initial: NotImplementedError: Empty does not say with what parameters it begins"),
        ({"class": Mlp, "depth": 3}, "Mlp.__init__: TypeError: Mlp.__init__() got an unexpected keyword argument 'depth'"),
        ({"class": Mlp, "whole": True}, "decoders['digit']: only encoders may be whole"),
        ("models", 'decoders[\'digit\'] is "models"; name a class of an installed module'),
        ("json:JSONDecoder", "is <class 'json.decoder.JSONDecoder'>: a class that derives from pom2dib.Module or"),
        ("nowhere_at_all:Mlp", "class nowhere_at_all:Mlp: No module named 'nowhere_at_all'; install the module where"),
        (int, "decoders['digit'] is <class 'int'>: a class that derives from"),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_starts(given: Any, line: str) -> None:
    with pytest.raises(pom2dib.Error) as raised:
        pom2dib.run("tiny.toml", decoders={"digit": given}, out="a")
    assert line in str(raised.value) and "\n" not in str(raised.value)
    assert raised.value.status == 2
    assert not Path("a/metrics.jsonl").exists()


MODULE = """
import numpy, pom2dib
class Line(pom2dib.ArrayModule):
    def __init__(self, shape, out): self.sizes = numpy.prod(shape), out
    def initial(self, generator): return {"w": generator.normal(0, 0.1, self.sizes)}
    def forward(self, parameters, x):
        print("hello")
        return x.reshape(len(x), -1) @ parameters["w"], (parameters, x.reshape(len(x), -1))
    def backward(self, kept, upstream): return {"w": kept[1].T @ upstream}, upstream @ kept[0]["w"].T
"""


def test_a_node_on_another_machine_loads_what_its_command_line_names_and_nothing_else(place: Path) -> None:
    (place / "lines.py").write_text(MODULE)
    keys = {"network.joint.digit": {"kind": "python", "class": "lines:Line"}}
    run = pom2dib.run("tiny.toml", set=keys, rounds=2, out="a")
    Path("b.toml").write_text(Path("a/scenario.toml").read_text())
    assert "hello" in Path("a/logs/receiver-1.log").read_text()
    start = [sys.executable, "-m", "pom2dib"]
    for named, comes in (([], False), (["--python", "lines:Line"], True)):
        with subprocess.Popen(
            [*start, "coordinator", "b.toml", "--out", f"c{comes}", "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as coordinator:
            until = time.monotonic() + 60
            while not (address := Path(f"c{comes}/address")).exists() or not address.read_text():
                assert time.monotonic() < until and coordinator.poll() is None
                time.sleep(0.05)
            nodes = [("transmitter", 0), ("transmitter", 1), ("receiver", 0), ("receiver", 1)]
            words = [[role, "--coordinator", address.read_text(), "--index", str(index)] for role, index in nodes]
            started = [subprocess.Popen([*start, *word, *named], stderr=subprocess.DEVNULL) for word in words]
            _, said = coordinator.communicate(timeout=90)
            for node in started:
                node.wait(timeout=60)
        assert (coordinator.returncode == 0) == comes, said
        if not comes:
            assert "receiver 1: " in said and "was not told to load it; start it with --python lines:Line" in said
    assert json.loads(Path("cTrue/summary.json").read_text())["fingerprint"] == run.summary["fingerprint"]


def test_a_class_of_a_file_is_not_loaded_for_whoever_asks_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_classes, "_allowed", ["lines:Line"])
    with pytest.raises(pom2dib.Error, match="does not go to other machines: install its module there"):
        _classes.find("Line", "classes.pkl", "0" * 64)


def test_a_run_without_a_folder_and_a_sweep_have_theirs() -> None:
    run = pom2dib.run("tiny.toml", decoders={"digit": Mlp}, set={"network.joint.digit.width": 8}, rounds=1, in_process=True)
    assert run.folder == Path("runs/tiny-pom2dib-s1").absolute() and list(run.folder.glob("classes-*.pkl"))
    assert run.scenario["network"]["joint"]["digit"]["width"] == 8
    grid = {"network.joint.digit.width": [4, 8]}
    sweep = pom2dib.sweep("tiny.toml", grid=grid, decoders={"digit": Mlp}, rounds=1, in_process=True)
    assert sweep.folder == Path("runs/tiny-sweep").absolute()
    assert sweep.table()["network.joint.digit.width"].to_list() == [4, 8]
    assert sweep.runs[1].summary["fingerprint"] == run.summary["fingerprint"]
    # A class that was made anew from the same text is the same to a sweep that goes on.
    again = pom2dib.sweep("tiny.toml", grid=grid, decoders={"digit": Mlp}, rounds=1, in_process=True)
    assert len(again.table()) == 2


def test_its_gradients_are_compared_with_finite_differences_and_it_is_exported(place: Path) -> None:
    (place / "lines.py").write_text(MODULE)
    keys = ["--set", 'network.joint={kind="python",class="lines:Line"}']
    shown = json.loads(pom2dib.call("model", "tiny.toml", *keys, "--check-gradients", "--json"))
    own = [network for network in shown["networks"] if network["kind"] == "python"]
    assert len(own) == 2 and all(network["gradient_error"] < 1e-6 for network in own)


def test_what_is_not_installed_is_asked_for_by_name() -> None:
    for module, does in (("torch", "pom2dib.Module"), ("cloudpickle", "pom2dib.run('digits', decoders={'digit': Mine}, out='a')")):
        script = f"import sys; sys.modules['{module}'] = None\nimport pom2dib\nclass Mine(pom2dib.ArrayModule): pass\n{does}"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        extra = "torch" if module == "torch" else "models"
        assert f"needs {module}: pip install 'pom2dib[{extra}]'" in done.stderr.splitlines()[-1]
