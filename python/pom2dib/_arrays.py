"""Arrays of the caller's own as a data set."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._errors import Error, needs

#: numpy's letters of what a run reads: bool, integers, floats; of labels also texts.
_NUMBERS = "biuf"
_TEXTS = "U"


class Arrays:
    """Arrays as a data set: a modality for each of ``train``, a task for each of ``tasks``.

    The first axis of every array is the sample, and row i of all arrays of a split is of the same sample. Numbers may be of any
    type and order; labels integers (classes), texts (classes, in the order of the alphabet) or floats (values).

    The arrays are written to a temporary folder, which goes with this object and the runs that were made with it; with ``folder``
    they stay, so that such a run can be judged or go on later.
    """

    def __init__(
        self,
        train: Mapping[str, Any],
        test: Mapping[str, Any],
        tasks: Mapping[str, tuple[Any, Any]],
        *,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        """Writes the arrays.

        Args:
            train: the training rows of each modality.
            test: its test rows.
            tasks: the labels of each task: of the training rows, and of the test rows.
            folder: where to keep the files; it must be new or empty.

        Raises:
            Error: with status 2 if they are not what a run can read.
        """
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self.modalities = list(train)
        self.tasks = list(tasks)
        _check_names(train, test, tasks)
        splits = [(name, "train", train[name], _NUMBERS) for name in train]
        splits += [(name, "test", test[name], _NUMBERS) for name in test]
        for name, labels in tasks.items():
            if not isinstance(labels, (tuple, list)) or len(labels) != 2:
                raise Error(f"tasks[{name!r}]: give a pair, the labels of the training rows and of the test rows", status=2)
            splits += [(name, split, of, _NUMBERS + _TEXTS) for split, of in zip(("train", "test"), labels)]
        arrays = [(name, split, _array(name, split, of, kinds)) for name, split, of, kinds in splits]
        _check_rows(arrays)
        self.folder = self._folder(folder)
        self._write(arrays)

    def _folder(self, given: str | os.PathLike[str] | None) -> Path:
        if given is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="pom2dib-arrays-")
            return Path(self._temporary.name)
        folder = Path(given).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Error(f"{folder}: it is not empty; give another folder", status=2)
        return folder

    def _write(self, arrays: list[tuple[str, str, Any]]) -> None:
        numpy = _numpy()
        for name, split, array in arrays:
            numpy.save(self.folder / f"{name}.{split}.npy", array, allow_pickle=False)

    def scenario(self, *, rounds: int = 300) -> str:
        """A scenario that can be run with them, as a text: a transmitter for every modality, a receiver for every task."""
        text = f"name = \"arrays\"\n\n[data]\nsource = \"arrays\"\npath = {json.dumps(str(self.folder))}\n\n"
        text += f"[network]\nreceiver_limit = {min(2, len(self.modalities))}\ntransmitter_limit = {len(self.tasks)}\n\n"
        text += f"[train]\nrounds = {rounds}\n"
        text += "".join(f'\n[[transmitter]]\nmodalities = ["{name}"]\n' for name in self.modalities)
        return text + "".join(f'\n[[receiver]]\ntask = "{name}"\n' for name in self.tasks)


def _numpy() -> Any:
    try:
        import numpy
    except ImportError:
        raise needs("numpy", "arrays", "pom2dib.Arrays") from None
    return numpy


def _check_names(train: Mapping[str, Any], test: Mapping[str, Any], tasks: Mapping[str, Any]) -> None:
    if not train or not tasks:
        raise Error("pom2dib.Arrays: give at least one modality (train, test) and one task (tasks)", status=2)
    if set(train) != set(test):
        odd = sorted(set(train) ^ set(test))[0]
        raise Error(f"{odd!r} is not in both train and test: give the rows of each modality for both", status=2)
    if both := sorted(set(train) & set(tasks)):
        raise Error(f"{both[0]!r} is a modality and a task: give them different names", status=2)
    for name in [*train, *tasks]:
        if not 1 <= len(name) <= 64 or not name.isascii() or not all(letter.isalnum() or letter in "-_" for letter in name):
            raise Error(f"{name!r}: a name is 1 to 64 letters, digits, hyphens and underscores", status=2)


def _array(name: str, split: str, given: Any, kinds: str) -> Any:
    """What is given as an array of numbers, or of texts where labels may be such."""
    numpy = _numpy()
    array = numpy.asarray(given)
    if array.dtype.kind in "OST" and _TEXTS in kinds and all(isinstance(label, (str, bytes)) for label in array.flat):
        # Labels as pandas and others hold them.
        array = array.astype(str)
    if array.dtype.kind not in kinds:
        wanted = "numbers" + (" or texts" if _TEXTS in kinds else "")
        raise Error(f"{name!r} ({split}) holds {array.dtype}; give an array of {wanted}", status=2)
    if array.ndim == 0 or len(array) == 0:
        raise Error(f"{name!r} ({split}) has no rows; its first axis is the sample", status=2)
    return array


def _check_rows(arrays: list[tuple[str, str, Any]]) -> None:
    """All arrays of a split have as many rows."""
    for wanted in ("train", "test"):
        of_split = [(name, len(array)) for name, split, array in arrays if split == wanted]
        first, rows = of_split[0]
        for name, others in of_split:
            if others != rows:
                raise Error(f"{name!r} ({wanted}) has {others} rows, but {first!r} has {rows}: row i of all is one sample", status=2)
