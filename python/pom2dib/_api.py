"""Running networks."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ._arrays import Arrays
from ._dataset import Dataset
from ._errors import Error
from ._folders import folder_of_sweep, fresh_folder
from ._live import Live
from ._parts import Data, Network, OneChannel, OnePolicy, Parts
from ._program import call
from ._progress import Progress
from ._run import Run
from ._sweep import Sweep, values
from ._words import assignments, flags, toml

#: A path, as a text or a pathlib.Path.
PathLike = str | os.PathLike[str]


def run(
    scenario: PathLike | None = None,
    *,
    data: PathLike | Arrays | type[Dataset] | Mapping[str, Any] | None = None,
    rounds: int | None = None,
    seed: int | None = None,
    method: str | None = None,
    preset: str | None = None,
    set: Mapping[str, Any] | None = None,
    encoders: Mapping[str, Network] | None = None,
    decoders: Mapping[str, Network] | None = None,
    local_decoders: Mapping[str, Network] | None = None,
    selectors: Network | None = None,
    channels: OneChannel | Sequence[OneChannel] | None = None,
    policy: OnePolicy | None = None,
    out: PathLike | None = None,
    force: bool = False,
    resume: PathLike | None = None,
    device: str | None = None,
    threads: int | None = None,
    in_process: bool = False,
    progress: bool = True,
) -> Run:
    """Trains and judges a network on this machine, and returns when it is done.

    Ctrl-C lets the run save a checkpoint, from which ``resume`` goes on, and raises KeyboardInterrupt.

    Args:
        scenario: a scenario's file, or ``"digits"``, ``"handwritten"`` or ``"mmfi"``; without one, digits, which need no data.
            With ``Arrays`` as data and no scenario, a transmitter for every modality and a receiver for every task.
        data: the folder of the data set, or arrays, or a class that derives from ``Dataset``, or ``{"class": Mine, "key": 3}``.
        rounds: how many rounds to train.
        seed: the same seed gives the same parameters, bit for bit.
        method: pom2dib, rs-dib, tadib, vddib or dlsc.
        preset: hyper-parameters that go before the scenario's: ``"paper"``.
        set: keys of the scenario and their values, ``{"train.beta": 1e-3}``.
        encoders: networks of classes of your own, by modality: ``{"image": MyEncoder}``. Each is the trunk of an encoder, or all of it
            with ``{"image": {"class": MyEncoder, "whole": True}}``.
        decoders: the same by task, of all features together.
        local_decoders: the same by task, of single features.
        selectors: one for all selectors.
        channels: what features meet on their way: a class that derives from ``Channel``, ``{"class": MyChannel, "key": 3}``, or a list of
            such tables, each with the ``transmitter`` and the ``receiver`` that it is for. Of a list the last that fits holds.
        policy: what selects in the place of selectors: a class that derives from ``Policy``, or ``{"class": MyPolicy, "key": 3}``.
        out: the run's folder; without it, a fresh one under runs/.
        force: overwrite the run that ``out`` holds.
        resume: the folder of a run that goes on from its last checkpoint; with ``rounds``, also a finished one.
        device: where the nodes compute: ``"cpu"``, ``"cuda:0"`` or ``"auto"``.
        threads: of each node, for its products. Results depend on it only with classes of your own.
        in_process: all nodes as tasks of one process, instead of a process each.
        progress: draw how far it is, in a terminal or a notebook.

    Raises:
        Error: with the program's own line.
    """
    given = {name: value for name, value in locals().items() if name != "progress"}
    with start(**given) as live:
        bar: Progress | None = None
        try:
            for round in live:
                bar = bar or Progress(live.result.scenario.get("train", {}).get("rounds"), progress)
                bar.update(round)
        finally:
            if bar is not None:
                bar.end()
        return live.result


def start(
    scenario: PathLike | None = None,
    *,
    data: PathLike | Arrays | type[Dataset] | Mapping[str, Any] | None = None,
    rounds: int | None = None,
    seed: int | None = None,
    method: str | None = None,
    preset: str | None = None,
    set: Mapping[str, Any] | None = None,
    encoders: Mapping[str, Network] | None = None,
    decoders: Mapping[str, Network] | None = None,
    local_decoders: Mapping[str, Network] | None = None,
    selectors: Network | None = None,
    channels: OneChannel | Sequence[OneChannel] | None = None,
    policy: OnePolicy | None = None,
    out: PathLike | None = None,
    force: bool = False,
    resume: PathLike | None = None,
    device: str | None = None,
    threads: int | None = None,
    in_process: bool = False,
) -> Live:
    """Begins a run, and returns at once: the run's rounds come by iterating. Takes what ``run`` takes.

    Raises:
        Error: if the arguments contradict each other. What is wrong with the scenario or the data is raised by iterating.
    """
    parts = Parts(encoders, decoders, local_decoders, selectors, channels, policy)
    if resume is not None and (parts or any(given is not None for given in (scenario, seed, method, preset, set, out))):
        raise Error("resume goes on as the run began: leave out scenario, seed, method, preset, set, out, networks, channels and policy", status=2)
    given = _Data(data)
    if resume is not None and given.own is not None:
        raise Error("resume goes on with the data that the run began with: leave out data", status=2)
    scenario = None if scenario is None else os.fspath(scenario)
    keep: list[object] = [data]
    if scenario is None and resume is None and (text := given.scenario()) is not None:
        # Read while the run begins, and copied into its folder.
        file = tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8")
        file.write(text)
        file.flush()
        scenario = file.name
        keep.append(file)
    words = [] if scenario is None else [scenario]
    if parts or given.own is not None:
        if out is None and resume is None:
            out = fresh_folder(scenario, {**(set or {}), "seed": seed, "train.method": method})
        words += parts.words(Path(out or ".")) + given.words(Path(out or "."))
    words += assignments(set or {})
    words += flags({"data": given.folder, "rounds": rounds, "seed": seed, "method": method, "preset": preset})
    words += flags({"out": out, "force": force, "resume": resume, "device": device, "threads": threads})
    words += flags({"in-process": in_process})
    known = resume if resume is not None else out
    return Live(words, None if known is None else Path(known), goes_on=resume is not None, keep=keep)


class _Data:
    """The data that a caller gives."""

    def __init__(self, data: PathLike | Arrays | type[Dataset] | Mapping[str, Any] | None) -> None:
        self.arrays = data if isinstance(data, Arrays) else None
        self.own = Data(data) if isinstance(data, (type, Mapping)) else None
        path = None if self.arrays is not None or self.own is not None else data
        self.folder: PathLike | None = self.arrays.folder if self.arrays is not None else path  # type: ignore[assignment]

    def scenario(self) -> str | None:
        """A scenario for it, if it can make one."""
        return next((of.scenario() for of in (self.arrays, self.own) if of is not None), None)

    def words(self, folder: Path) -> list[str]:
        """What puts a class of the caller's into the scenario of a run in a folder."""
        return [] if self.own is None else self.own.words(folder)


def sweep(
    scenario: PathLike | None = None,
    *,
    grid: Mapping[str, Any],
    data: PathLike | Arrays | type[Dataset] | Mapping[str, Any] | None = None,
    rounds: int | None = None,
    encoders: Mapping[str, Network] | None = None,
    decoders: Mapping[str, Network] | None = None,
    local_decoders: Mapping[str, Network] | None = None,
    selectors: Network | None = None,
    channels: OneChannel | Sequence[OneChannel] | None = None,
    policy: OnePolicy | None = None,
    out: PathLike | None = None,
    parallel: int = 1,
    device: str | None = None,
    in_process: bool = False,
) -> Sweep:
    """Runs a scenario at every combination of values, and returns when all runs are done.

    Interrupted, or with runs that failed, the same call goes on where it was: what is done in ``out`` is left alone.

    Args:
        scenario: as ``run`` takes it.
        grid: keys of the scenario, each with the values that it takes: ``{"train.beta": [0, 1e-3], "seed": range(5)}``.
        data: as ``run`` takes it.
        rounds: how many rounds to train each run.
        encoders, decoders, local_decoders, selectors, channels, policy: as ``run`` takes them, for all runs.
        out: the folder of the sweep; without it, runs/NAME-sweep.
        parallel: how many runs at a time; they share the cores.
        device: where the nodes compute.
        in_process: all nodes of a run as tasks of one process.

    Raises:
        Error: if any run failed, with the program's own line.
    """
    given = _Data(data)
    if scenario is None and (given.arrays is not None or given.own is not None):
        raise Error("a sweep over data of your own needs a scenario: for arrays write data.scenario() to a file", status=2)
    words = [] if scenario is None else [os.fspath(scenario)]
    parts = Parts(encoders, decoders, local_decoders, selectors, channels, policy)
    if parts or given.own is not None:
        out = out if out is not None else folder_of_sweep(None if scenario is None else os.fspath(scenario))
        words += parts.words(Path(out)) + given.words(Path(out))
    for key, of in grid.items():
        words += ["--set", f"{key}={','.join(toml(value, key) for value in values(of))}"]
    words += flags({"data": given.folder, "rounds": rounds, "out": out, "parallel": parallel, "device": device})
    words += flags({"in-process": in_process})
    return Sweep(_folder_of_sweep(call("sweep", "--json", *words)))


def _folder_of_sweep(printed: str) -> Path:
    """The folder in which a sweep's runs lie, of what it prints."""
    return Path(json.loads(printed)["points"][0]["folder"]).parent
