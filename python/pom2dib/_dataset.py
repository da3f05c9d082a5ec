"""Data sets of the caller's own, which read samples as they are needed."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from . import _classes
from ._errors import Error
from ._users import ModelError, OfUser, needed_numpy

_SPLITS = ("train", "test")


class Dataset:
    """Samples that are read as they are needed: what ``Arrays`` is for samples that do not fit into memory, or are computed.

    Every node of a run makes an object of the class for itself, with the keys that are given beside it, and must see the same
    samples. ``split`` is ``"train"`` or ``"test"``.
    """

    #: The shape of a sample of each modality.
    modalities: Mapping[str, tuple[int, ...]] = {}
    #: Of each task how many classes it has, or their names; or None, where it is one of values.
    tasks: Mapping[str, int | Sequence[str] | None] = {}

    def samples(self, split: str) -> int:
        """How many samples a split has."""
        raise NotImplementedError(f"{type(self).__name__} has no samples: write samples(split)")

    def read(self, modality: str, split: str, sample: int, epoch: int) -> Any:
        """A sample of a modality. The same arguments must always give the same: ``epoch`` is for what differs between epochs."""
        raise NotImplementedError(f"{type(self).__name__} reads nothing: write read(modality, split, sample, epoch)")

    def targets(self, task: str, split: str) -> Any:
        """Of all samples of a split what a task wants: classes from 0, or values [samples] or [samples, width]."""
        raise NotImplementedError(f"{type(self).__name__} has no targets: write targets(task, split)")

    def clusters(self) -> Any:
        """For each test sample a number that it shares with those that belong together, of one person for example; intervals are over
        these. ``None``: every sample is by itself."""
        return None


def scenario(data: Dataset, name: str, *, rounds: int = 300) -> str:
    """A scenario for a data set, as a text without ``[data]``: a transmitter for every modality, a receiver for every task."""
    text = f"name = {json.dumps(name)}\n\n[network]\nreceiver_limit = {min(2, len(data.modalities))}\ntransmitter_limit = {len(data.tasks)}\n\n"
    text += f"[train]\nrounds = {rounds}\n"
    text += "".join(f"\n[[transmitter]]\nmodalities = [{json.dumps(of)}]\n" for of in data.modalities)
    return text + "".join(f"\n[[receiver]]\ntask = {json.dumps(of)}\n" for of in data.tasks)


def open_dataset(keys: str) -> OpenedDataset:
    """The data set of a scenario's section ``[data]``, for a node. Called by ``python/src/dataset.rs``."""
    sys.stdout = sys.stderr
    words: dict[str, Any] = json.loads(keys)
    try:
        found, source = _classes.find(words.get("class"), words.get("file"), words.get("sha256"))
    except Error as error:
        raise ModelError(str(error)) from None
    if not (isinstance(found, type) and issubclass(found, Dataset)):
        raise ModelError(f"{words['class']} is {found!r}: a class that derives from pom2dib.Dataset is wanted")
    return OpenedDataset(found, source, words.get("keys") or {}, words.get("sha256") or "")


class OpenedDataset(OfUser):
    """A data set of a class of the user's, checked."""

    def __init__(self, of: type, source: str, keys: dict[str, Any], sha256: str) -> None:
        super().__init__(of, source)
        self.numpy = needed_numpy("a data set in Python")
        with self.users("__init__"):
            self.data: Dataset = of(**keys)
        self.sha256 = sha256
        with self.users("modalities"):
            self.shapes = {str(name): tuple(int(size) for size in shape) or (1,) for name, shape in self.data.modalities.items()}
        with self.users("samples"):
            self.samples = [int(self.data.samples(split)) for split in _SPLITS]
        if not self.shapes or not self.data.tasks or min(self.samples) < 1:
            raise ModelError(f"{self.name} has {len(self.shapes)} modalities, {len(self.data.tasks)} tasks and {self.samples} samples: there must be some of each")

    def names(self) -> tuple[list[str], list[str]]:
        """Of modalities and tasks."""
        return list(self.shapes), list(self.data.tasks)

    def facts(self) -> tuple[list[int], list[tuple[str, list[int]]], list[Any], bytes, bytes]:
        """Samples of both splits, shapes, tasks with their targets, clusters, and a digest of all that nodes must agree on."""
        shapes = [(name, list(shape)) for name, shape in self.shapes.items()]
        tasks = [(name, *self._task(name)) for name in self.data.tasks]
        clusters = self._clusters()
        digest = hashlib.sha256(repr((self.name, self.sha256, self.samples, shapes)).encode())
        for name, classes, names, width, targets in tasks:
            digest.update(repr((name, classes, names, width)).encode() + b"".join(targets))
        return self.samples, shapes, tasks, clusters, digest.digest()

    def read(self, modality: str, split: int, sample: int, epoch: int) -> bytes:
        """A sample, as float32."""
        with self.users("read"):
            array = self.numpy.asarray(self.data.read(modality, _SPLITS[split], sample, epoch), self.numpy.float32)
        wanted = self.shapes[modality]
        what = f"{self.name}.read({modality!r}, {_SPLITS[split]!r}, {sample}, {epoch}) gives"
        if array.size != math.prod(wanted):
            raise ModelError(f"{what} {list(array.shape)}; it must give {list(wanted)}")
        if not self.numpy.isfinite(array).all():
            raise ModelError(f"{what} a number that is not finite, in {list(array.shape)}")
        return bytes(array.tobytes())

    def _task(self, name: str) -> tuple[int, list[str], int, list[bytes]]:
        """How many classes, or 0; their names; how many values, or 0; and the targets of both splits."""
        classes = self.data.tasks[name]
        names = [] if classes is None or isinstance(classes, int) else [str(word) for word in classes]
        count = 0 if classes is None else classes if isinstance(classes, int) else len(names)
        targets, widths = [], set()
        for split, samples in zip(_SPLITS, self.samples):
            with self.users("targets"):
                array = self.numpy.asarray(self.data.targets(name, split))
            what = f"{self.name}.targets({name!r}, {split!r}) gives"
            if array.ndim not in (1, 2) or len(array) != samples or (count and array.ndim != 1):
                raise ModelError(f"{what} {list(array.shape)}; it must give one for each of {samples} samples")
            if count and (array.dtype.kind not in "iub" or array.min() < 0 or array.max() >= count):
                raise ModelError(f"{what} {array.dtype} from {array.min()} to {array.max()}; it must give integers from 0 to {count - 1}")
            if not count and (array.dtype.kind not in "iubf" or not self.numpy.isfinite(array).all()):
                raise ModelError(f"{what} {array.dtype}; it must give finite numbers")
            widths.add(1 if array.ndim == 1 else array.shape[1])
            targets.append(bytes(array.astype(self.numpy.uint32 if count else self.numpy.float32).tobytes()))
        if len(widths) != 1:
            raise ModelError(f"{self.name}.targets({name!r}, ...) gives as many values as {sorted(widths)}: both splits must have as many")
        return count, names, 0 if count else widths.pop(), targets

    def _clusters(self) -> bytes:
        with self.users("clusters"):
            given = self.data.clusters()
        array = self.numpy.arange(self.samples[1]) if given is None else self.numpy.asarray(given)
        if array.shape != (self.samples[1],) or array.dtype.kind not in "iu" or array.min() < 0:
            raise ModelError(f"{self.name}.clusters() gives {array.dtype} {list(array.shape)}; it must give a number from 0 for each of {self.samples[1]} test samples")
        return bytes(array.astype(self.numpy.uint32).tobytes())
