"""What docs/python.md tells people to write, as a type checker sees it: the gate runs mypy --strict over it. Nothing runs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pom2dib

if TYPE_CHECKING:
    import numpy


def runs() -> None:
    run = pom2dib.run("digits", rounds=20, seed=1, set={"train.beta": 1e-3}, out="first", threads=2, progress=False)
    again: pom2dib.Run = pom2dib.run(resume=run.folder, rounds=30)
    tasks: list[dict[str, Any]] = again.summary["test"]["tasks"]
    print(tasks, run.scenario["train"], run.is_finished, pom2dib.load(Path("first")).folder.name)
    first: pom2dib.Round = run.rounds[0]
    print(first.n_ce + sum(first.ce), first.record["bytes"])
    axes = run.plot.rate_relevance(smooth=10)
    run.plot.selection(axes)
    print(run.metrics["n_ce"], run.selection.query("round == 1"))


def lives() -> None:
    with pom2dib.start("digits", out=Path("watched"), method="tadib") as live:
        for round in live:
            seconds: float = round.seconds
            if round.round == 3 and seconds < 1:
                live.pause()
                live.resume()
                live.stop()
    result: pom2dib.Run = live.result
    folder: Path = live.wait().folder
    print(result, folder, live.is_running)


def sweeps() -> None:
    sweep = pom2dib.sweep("digits", grid={"train.beta": [0, 1e-3], "seed": range(2)}, parallel=2)
    print(sweep.table(), sweep.over_seeds(), [run.folder for run in sweep.runs])
    table = pom2dib.records("first", sweep, *sweep.runs)
    table.to_csv("records.csv")
    text: str = pom2dib.call("report", "first", Path("watched"))
    print(text)


def errors() -> int:
    try:
        pom2dib.run("digits", device="cuda:0")
    except pom2dib.InternalError as error:
        print(error)
    except pom2dib.Error as error:
        return error.status
    return 0


def arrays(x: numpy.ndarray[Any, Any], y: list[str]) -> pom2dib.Run:
    data = pom2dib.Arrays(train={"left": x}, test={"left": x}, tasks={"digit": (y, y)}, folder="kept")
    Path("mine.toml").write_text(data.scenario(rounds=100))
    return pom2dib.run(data=data)


class Network(pom2dib.Module):
    """In PyTorch."""

    outputs = 32

    def __init__(self, shape: tuple[int, ...], out: int, width: int = 8) -> None:
        super().__init__(shape, out)
        self.width = width

    def forward(self, x: Any) -> Any:
        return x


class Sines(pom2dib.ArrayModule):
    def __init__(self, shape: tuple[int, ...], out: int) -> None:
        self.sizes = shape, out

    def initial(self, generator: numpy.random.Generator) -> dict[str, Any]:
        return {"w": generator.normal(size=self.sizes[0])}

    def forward(self, parameters: dict[str, Any], x: Any) -> tuple[Any, Any]:
        noise = self.generator.normal(size=3) if self.training else 0
        return x + noise, parameters

    def backward(self, kept: Any, upstream: Any) -> tuple[dict[str, Any], Any]:
        return {"w": upstream}, upstream


class Fog(pom2dib.Channel):
    def __init__(self, power: float = 1.0) -> None:
        self.power = power

    def send(self, crossing: pom2dib.Crossing, z: Any) -> Any:
        return z + self.power * self.generator.normal(size=z.shape) if crossing.phase == "train" and crossing.tick > 0 else z

    def pull_back(self, crossing: pom2dib.Crossing, z: Any, gradient: Any) -> Any:
        return gradient


class Bandit(pom2dib.Policy):
    def __init__(self, node: tuple[str, int], items: int, limit: int, receivers: int, epsilon: float = 0.1) -> None:
        role, _ = node
        self.epsilon, self.items, self.means = epsilon, items, [0.0] * items * (receivers if role == "transmitter" else 1)

    def choose(self, decision: pom2dib.Decision) -> list[int]:
        explores = decision.phase == "train" and self.generator.random() < self.epsilon and decision.u[0] > 0
        known = [strength for strength in decision.strengths_db if strength is not None]
        return [int(self.generator.integers(decision.items))] if explores or known else list(range(decision.limit))

    def learn(self, round: list[pom2dib.Judged]) -> None:
        for judged in round:
            for item in judged.items:
                self.means[item] += 0.1 * (judged.cost - self.means[item])

    def state(self) -> list[float]:
        return self.means

    def restore(self, state: numpy.ndarray[Any, Any]) -> None:
        self.means = state.tolist()


class InTurn(pom2dib.Policy):
    def choose(self, decision: pom2dib.Decision) -> numpy.ndarray[Any, Any]:
        return numpy.arange(1)


class Rings(pom2dib.Dataset):
    modalities = {"x": (1,)}
    tasks = {"ring": ["inner", "outer"], "angle": None, "third": 3}

    def samples(self, split: str) -> int:
        return 100 if split == "train" else 10

    def read(self, modality: str, split: str, sample: int, epoch: int) -> Any:
        return [float(sample)]

    def targets(self, task: str, split: str) -> Any:
        return [0] * self.samples(split)


def parts() -> None:
    encoders: dict[str, Any] = {"fft": {"class": Network, "whole": True, "width": 3}, "mel": "my_models:Encoder"}
    run = pom2dib.run("digits", encoders=encoders, decoders={"digit": Sines}, selectors=Sines, channels={"class": Fog, "power": 2.0})
    pom2dib.sweep("digits", grid={"seed": [1]}, local_decoders={"digit": Network}, channels=[{"kind": "awgn", "snr_db": 10}, Fog])
    pom2dib.run(data=Rings, policy=InTurn)
    pom2dib.sweep("digits", grid={"train.selection_parameters.epsilon": [0.1, 0.3]}, policy={"class": Bandit, "epsilon": 0.2})
    pom2dib.start("digits", policy="my_rules:Bandit")
    pom2dib.run(data={"class": Rings, "noise": 0.1})

    def samples() -> Iterator[dict[str, Any]]:
        yield {"fft": [0.0] * 196, "seq": 3}

    with pom2dib.serve(run, samples(), limit=10, when_full="block") as service:
        for answer in service:
            print(answer["seq"])
    print(service.summary["answered"])
