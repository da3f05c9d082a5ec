"""Networks in PyTorch, where it is installed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest

import pom2dib

torch = pytest.importorskip("torch", reason="torch is not installed: networks in PyTorch are not tested")


class Linear(torch.nn.Module):  # type: ignore[misc]
    """With the names and shapes of the program's own."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(inputs, outputs))
        self.b = torch.nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Any) -> Any:
        return x @ self.w + self.b


class Block(torch.nn.Module):  # type: ignore[misc]
    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.w1, self.b1 = torch.nn.Parameter(torch.zeros(inputs, size)), torch.nn.Parameter(torch.zeros(size))
        self.w2, self.b2 = torch.nn.Parameter(torch.zeros(size, size)), torch.nn.Parameter(torch.zeros(size))
        self.shortcut = torch.nn.Parameter(torch.zeros(inputs, size))

    def forward(self, x: Any) -> Any:
        return torch.relu(torch.relu(x @ self.w1 + self.b1) @ self.w2 + self.b2 + x @ self.shortcut)


class Norm(torch.nn.Module):  # type: ignore[misc]
    def __init__(self, size: int) -> None:
        super().__init__()
        self.affine = torch.nn.Parameter(torch.zeros(2, size))

    def forward(self, x: Any) -> Any:
        return torch.nn.functional.layer_norm(x, x.shape[1:], self.affine[0], self.affine[1])


class Papers(pom2dib.Module):
    """The paper's network."""

    def __init__(self, shape: tuple[int, ...], out: int) -> None:
        super().__init__(shape, out)
        self.block1, self.norm1 = Block(shape[0], 512), Norm(512)
        self.block2, self.norm2 = Block(512, 256), Norm(256)
        self.linear = Linear(256, out)

    def forward(self, x: Any) -> Any:
        return self.linear(self.norm2(self.block2(self.norm1(self.block1(x)))))


def test_the_gradients_of_a_copy_of_the_papers_network_are_the_program_s(still: dict[str, Any], checkpoint: Any) -> None:
    # The rate's gradient magnifies the rounding of features that are sent with little noise: it is to count for little.
    keys = {**still, "network.limits": False, "train.beta": 1e-6}
    ours = pom2dib.run("tiny.toml", set=keys, out="ours", in_process=True)
    pom2dib.call("export", "ours", "--out", "networks")
    encoder = {"class": Papers, "whole": True, "weights": "networks"}
    local = {"class": Papers, "weights": "networks"}
    own = pom2dib.run("tiny.toml", set=keys, encoders={"mel": encoder}, local_decoders={"digit": local}, out="own", in_process=True)
    assert own.summary["reproducible"] == f"same build and thread count, with torch {torch.__version__}"
    for node, network in (("transmitter-1", "transmitter1/encoder1"), ("receiver-1", "receiver1/local")):
        first, second = (checkpoint(run.folder, node) for run in (ours, own))
        names = [name for name in first if name.startswith(f"{network}/") and not name.endswith((".m", ".v"))]
        assert len(names) == 14 and set(second) == set(first)
        for name in names:
            assert numpy.allclose(first[name], second[name], rtol=0, atol=1e-20)
            # The first moment behind one step is a tenth of the gradient.
            gradient, other = first[f"{name}.m"], second[f"{name}.m"]
            assert 0 < numpy.linalg.norm(gradient - other) < 1e-5 * numpy.linalg.norm(gradient), name


class Cnn(pom2dib.Module):
    """Convolutions, with draws, and with a constant that is drawn."""

    outputs = 24

    def __init__(self, shape: tuple[int, ...], out: int, channels: int = 4) -> None:
        super().__init__(shape, out)
        self.convolution = torch.nn.Conv2d(shape[0], channels, 4, stride=2)
        self.dropout = torch.nn.Dropout(0.2)
        self.last = torch.nn.Linear(36 * channels, out)
        self.register_buffer("shift", torch.randn(36 * channels))

    def forward(self, x: Any) -> Any:
        return self.last(self.dropout(torch.relu(self.convolution(x))).flatten(1) + self.shift)


class Recurrent(pom2dib.Module):
    def __init__(self, shape: tuple[int, ...], out: int) -> None:
        super().__init__(shape, out)
        self.cell = torch.nn.GRU(1, 8, batch_first=True)
        self.last = torch.nn.Linear(8, out)

    def forward(self, x: Any) -> Any:
        return self.last(self.cell(x.unsqueeze(2))[0][:, -1])


def test_a_run_is_killed_and_goes_on_and_comes_to_the_same(interrupt: Any) -> None:
    keys = {"checkpoint.every": 3, "train.rounds": 60, "network.encoder.fft.channels": 3}
    own: dict[str, Any] = {"encoders": {"fft": Cnn}, "decoders": {"digit": Recurrent}, "threads": 1}
    # Nodes of one process have one generator in common.
    undisturbed = pom2dib.run("tiny.toml", set=keys, **own, out="tasks", in_process=True)
    with pom2dib.start("tiny.toml", set=keys, **own, out="killed") as live:
        interrupt(live, "transmitter", 0)
    assert not live.result.is_finished
    killed = pom2dib.run(resume="killed", threads=1)
    assert killed.summary["fingerprint"] == undisturbed.summary["fingerprint"]
    assert killed.summary["test"] == undisturbed.summary["test"]


class Batch(pom2dib.Module):
    """With running statistics, and a buffer of integers and a constant one beside them."""

    outputs = 16

    def __init__(self, shape: tuple[int, ...], out: int) -> None:
        super().__init__(shape, out)
        self.first = torch.nn.Linear(int(numpy.prod(shape)), 16)
        self.batch = torch.nn.BatchNorm1d(16, momentum=0.3)
        self.last = torch.nn.Linear(16, out)
        self.register_buffer("seen", torch.zeros(2, dtype=torch.int32))
        self.register_buffer("shift", torch.randn(16))

    def forward(self, x: Any) -> Any:
        if self.training:
            self.seen += torch.tensor([1, len(x)], dtype=torch.int32)
        return self.last(torch.relu(self.batch(self.first(x.flatten(1)) + self.shift)))


def test_buffers_are_saved_with_the_parameters_and_go_on_where_a_killed_run_was(interrupt: Any, checkpoint: Any) -> None:
    keys = {"checkpoint.every": 3, "train.rounds": 60}
    own: dict[str, Any] = {"encoders": {"fft": Batch}, "decoders": {"digit": Batch}, "local_decoders": {"digit": Batch}, "threads": 1}
    undisturbed = pom2dib.run("tiny.toml", set=keys, **own, out="tasks", in_process=True)
    with pom2dib.start("tiny.toml", set=keys, **own, out="killed") as live:
        interrupt(live, "receiver", 1)
    killed = pom2dib.run(resume="killed", threads=1)
    assert killed.summary["fingerprint"] == undisturbed.summary["fingerprint"]
    assert killed.summary["test"] == undisturbed.summary["test"]
    first, second = (checkpoint(run.folder, "receiver-1") for run in (undisturbed, killed))
    name = "receiver1/joint.buffers/batch.running_mean"
    assert numpy.abs(first[name]).max() > 0 and (first[name] == second[name]).all()
    assert {name.rpartition("/")[2] for name in first if name.startswith("receiver1/local.buffers/")} == {"batch.running_mean", "batch.running_var", "shift"}
    # The test is judged with what was saved, and parameters alone are exported.
    assert json.loads(pom2dib.call("evaluate", "killed", "--threads", "1", "--json"))["test"] == killed.summary["test"]
    pom2dib.call("export", "killed", "--out", "networks")
    weights = {"class": Batch, "weights": {"file": "networks/receiver1-joint.safetensors"}}
    pom2dib.run("tiny.toml", decoders={"digit": weights}, rounds=1, out="weights", in_process=True)


class Normalised(pom2dib.Module):
    def __init__(self, shape: tuple[int, ...], out: int, what: str) -> None:
        super().__init__(shape, out)
        self.what = what
        self.last = torch.nn.Linear(shape[0], out)
        self.other = torch.nn.Linear(1, 1)
        self.other.requires_grad_(what == "unused")
        self.register_buffer("seen", torch.zeros(1))
        self.register_buffer("hidden", torch.zeros(1), persistent=False)

    def forward(self, x: Any) -> Any:
        y = self.last(x)
        if self.what == "evaluation" and not self.training:
            self.seen += 1
        if self.what == "hidden":
            self.hidden = self.hidden + 1
        return {"detached": y.detach(), "numpy": numpy.zeros((len(x), self.out)), "misfit": y[:, :, None]}.get(self.what, y)


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("evaluation", r"Normalised: buffer seen changes in a pass of evaluation, which must leave it as it is"),
        ("hidden", r"Normalised: hidden changes in a pass; only buffers of the state_dict may, of floats, integers or bools"),
        ("unused", r"Normalised: no gradient comes to other\.bias, other\.weight: use it in forward, or say requires_grad_\(False\)"),
        ("detached", r"Normalised: no gradient comes through its forward"),
        ("numpy", r"Normalised\.forward gives ndarray; it must give a tensor \[n, 10\]"),
        ("misfit", r"Normalised\.forward gives \[3, 10, 1\] for an input \[3, 20\]; it must give \[3, 10\]"),
    ],
)
def test_what_cannot_be_trained_is_said_before_anything_starts(what: str, line: str) -> None:
    with pytest.raises(pom2dib.Error) as raised:
        pom2dib.run("tiny.toml", decoders={"digit": {"class": Normalised, "what": what}}, out="a")
    assert re.match(f"tiny.toml: network.joint.digit: {line}", str(raised.value)), raised.value
    assert raised.value.status == 2 and not Path("a/metrics.jsonl").exists()


@pytest.mark.parametrize("order", ["torch, pom2dib._native", "pom2dib._native, torch"])
def test_torch_and_the_library_are_imported_in_either_order(order: str) -> None:
    script = f"import {order}\nimport torch\nassert (torch.ones(64, 64) @ torch.ones(64, 64)).sum() == 64**3"
    subprocess.run([sys.executable, "-c", script], check=True)


class Where(pom2dib.Module):
    """Says with how many threads it computes, and where."""

    def __init__(self, shape: tuple[int, ...], out: int) -> None:
        super().__init__(shape, out)
        self.last = torch.nn.Linear(shape[0], out)
        self.register_buffer("mean", torch.zeros(out))

    def forward(self, x: Any) -> Any:
        print(f"computes with {torch.get_num_threads()} threads on {x.device}")
        y = self.last(x)
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * y.detach().mean(0)
        return y - self.mean

    def optimizer(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


def _said(log: str) -> set[str]:
    return {line for line in Path(log).read_text().splitlines() if line.startswith("computes")}


@pytest.mark.parametrize("threads", [1, 2])
def test_torch_has_as_many_threads_as_its_node(threads: int) -> None:
    pom2dib.run("tiny.toml", decoders={"digit": Where}, rounds=2, threads=threads, out="a")
    assert _said("a/logs/receiver-1.log") == {f"computes with {threads} threads on cpu"}


def test_a_network_computes_on_its_node_s_gpu_and_goes_on_there() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    try:
        pom2dib.run("tiny.toml", decoders={"digit": Where}, rounds=3, device="cuda:0", out="a", set={"checkpoint.every": 3})
    except pom2dib.Error as error:
        if "this build computes on the CPU only" not in str(error):
            raise
        pytest.skip("the program was built without CUDA")
    # It is tried on the CPU before.
    assert {said.split()[-1] for said in _said("a/logs/receiver-1.log")} == {"cpu", "cuda:0"}
    run = pom2dib.run(resume="a", rounds=6)
    assert run.summary["rounds"] == 6 and "cuda:0" in run.summary["device"]


class Late(pom2dib.Module):
    def __init__(self, shape: tuple[int, ...], out: int) -> None:
        super().__init__(shape, out)
        self.last, self.calls = torch.nn.Linear(shape[0], out), 0

    def forward(self, x: Any) -> Any:
        self.calls += 1
        return self.last(x[:, 1:] if self.calls > 6 else x)


def test_what_is_raised_in_a_round_is_one_line_with_the_users_own_place() -> None:
    with pytest.raises(pom2dib.Error) as raised:
        pom2dib.run("tiny.toml", decoders={"digit": Late}, out="a")
    place = f"{__file__}, line {Late.forward.__code__.co_firstlineno + 2}"
    assert str(raised.value).startswith(f"receiver 1: Late.forward ({place}): RuntimeError: ")
    # Newer versions of PyTorch begin with the operation's name.
    assert "mat1 and mat2 shapes cannot be multiplied" in str(raised.value)
    assert "Traceback (most recent call last)" in Path("a/logs/receiver-1.log").read_text()


class Tanh(pom2dib.Channel):
    """By autograd."""

    def send(self, crossing: pom2dib.Crossing, z: Any) -> Any:
        return torch.tanh(z) + 0.1 * torch.from_numpy(self.generator.normal(size=z.shape).astype(numpy.float32))


class TanhByHand(pom2dib.Channel):
    def send(self, crossing: pom2dib.Crossing, z: Any) -> Any:
        return numpy.tanh(z) + 0.1 * self.generator.normal(size=z.shape).astype(numpy.float32)

    def pull_back(self, crossing: pom2dib.Crossing, z: Any, gradient: Any) -> Any:
        return gradient * (1 - numpy.tanh(z) ** 2)


def test_autograd_goes_the_way_back_through_a_channel(still: dict[str, Any], checkpoint: Any) -> None:
    keys = {**still, "network.limits": False, "train.beta": 1e-6}
    by_hand = pom2dib.run("tiny.toml", set=keys, channels=TanhByHand, out="by-hand", in_process=True)
    own = pom2dib.run("tiny.toml", set=keys, channels=Tanh, out="own", in_process=True)
    assert own.summary["reproducible"] == f"same build and thread count, with torch {torch.__version__}"
    first, second = (checkpoint(run.folder, "transmitter-0") for run in (by_hand, own))
    names = [name for name in first if name.startswith("transmitter0/encoder") and name.endswith(".m")]
    assert len(names) > 10
    for name in names:
        difference = numpy.linalg.norm(first[name] - second[name])
        assert 0 < difference < 1e-4 * numpy.linalg.norm(first[name]), name


class Detached(pom2dib.Channel):
    def send(self, crossing: pom2dib.Crossing, z: Any) -> Any:
        return z.detach() if crossing.receiver == 0 else z.numpy()


def test_a_channel_without_a_way_back_is_refused_before_anything_starts() -> None:
    for receiver, line in ((0, "Detached: no gradient comes through its send"), (1, "Detached.send gives ndarray; without pull_back it must give a tensor")):
        with pytest.raises(pom2dib.Error) as raised:
            pom2dib.run("tiny.toml", channels={"class": Detached, "receiver": receiver}, out="a")
        assert str(raised.value).startswith(f"tiny.toml: channel 0: {line}"), raised.value
        assert raised.value.status == 2


class Stepped(pom2dib.Module):
    """With an optimizer of PyTorch's."""

    def __init__(self, shape: tuple[int, ...], out: int, what: str = "adam") -> None:
        super().__init__(shape, out)
        self.what = what
        self.first, self.last = torch.nn.Linear(shape[0], 16), torch.nn.Linear(16, out)

    def forward(self, x: Any) -> Any:
        return self.last(torch.relu(self.first(x)))

    def optimizer(self) -> Any:
        if self.what == "part":
            return torch.optim.SGD(self.last.parameters(), lr=0.1)
        if self.what == "words":
            return "sgd"
        if self.what == "lbfgs":
            return torch.optim.LBFGS(self.parameters())
        if self.what == "large":
            return torch.optim.SGD(self.parameters(), lr=1e38)
        return {
            "adam": torch.optim.AdamW(self.parameters(), lr=1e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-4),
            "momentum": torch.optim.SGD(self.parameters(), lr=1e-2, momentum=0.9),
            "nadam": torch.optim.NAdam(self.parameters(), lr=1e-3),
        }[self.what]


class Plain(Stepped):
    def optimizer(self) -> Any:
        return None


def test_an_optimizer_of_pytorchs_steps_as_the_program_s_own_does(checkpoint: Any) -> None:
    keys = {"train.coding_lr": 1e-4, "train.weight_decay": 1e-4, "train.rounds": 4}
    runs = [pom2dib.run("tiny.toml", set=keys, decoders={"digit": of}, out=of.__name__, in_process=True) for of in (Plain, Stepped)]
    ours, own = (checkpoint(run.folder, "receiver-1") for run in runs)
    moved = 0.0
    for name in ("first.weight", "first.bias", "last.weight", "last.bias"):
        name = f"receiver1/joint/{name}"
        scale = numpy.abs(ours[name]).max()
        assert numpy.abs(ours[name] - own[name]).max() < 1e-5 * scale, name
        # What ours remembers as .m and .v, PyTorch's remembers by names of its own.
        assert numpy.allclose(own[f"receiver1/joint.optimizer/{name.removeprefix('receiver1/joint/')}/exp_avg"], ours[f"{name}.m"], rtol=1e-3, atol=1e-9)
        assert not own[f"{name}.m"].any()
        moved = max(moved, float(numpy.abs(ours[f"{name}.m"]).max()))
    assert moved > 0


def test_an_optimizer_s_state_goes_on_where_a_killed_run_was(interrupt: Any) -> None:
    keys = {"checkpoint.every": 3, "train.rounds": 60}
    own: dict[str, Any] = {
        "decoders": {"digit": {"class": Stepped, "what": "momentum"}},
        "local_decoders": {"parity": {"class": Stepped, "what": "nadam"}},
        "selectors": Stepped,
        "threads": 1,
    }
    undisturbed = pom2dib.run("tiny.toml", set=keys, **own, out="tasks", in_process=True)
    with pom2dib.start("tiny.toml", set=keys, **own, out="killed") as live:
        interrupt(live, "receiver", 1)
    killed = pom2dib.run(resume="killed", threads=1)
    assert killed.summary["fingerprint"] == undisturbed.summary["fingerprint"]
    assert pom2dib.call("evaluate", "killed", "--threads", "1", "--json")


@pytest.mark.parametrize(
    ("what", "status", "line"),
    [
        ("part", 2, "tiny.toml: network.joint.digit: Stepped.optimizer leaves out first.bias, first.weight: give it self.parameters()"),
        ("words", 2, "tiny.toml: network.joint.digit: Stepped.optimizer gives str; it must give a torch.optim.Optimizer, or None"),
        ("lbfgs", 1, "receiver 1: Stepped.optimizer"),
        ("large", 1, "receiver 1: Stepped"),
    ],
)
def test_what_is_wrong_with_an_optimizer_is_one_line(what: str, status: int, line: str) -> None:
    with pytest.raises(pom2dib.Error) as raised:
        pom2dib.run("tiny.toml", decoders={"digit": {"class": Stepped, "what": what}}, out="a")
    assert str(raised.value).startswith(line) and "\n" not in str(raised.value), raised.value
    assert raised.value.status == status
