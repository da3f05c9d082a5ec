#!/usr/bin/env python3
"""Writes the smartwatch recordings that come with seglearn 1.2.5 as arrays for scenarios/watch.toml.

    python3 -m pip install numpy && python3 -m pip install --no-deps seglearn==1.2.5
    python3 examples/data/watch.py watch-data --fold 0

10 people did 7 shoulder exercises with either arm, a watch at the wrist: 140 recordings of acceleration and rotation
at 50 Hz (D. Burns et al., arXiv 1802.01489). A row is a window of 100 samples, 2 s; windows begin 50 apart. A fold
holds out two people, so that nobody is in training and test.

Nobody wears a watch at the same angle as another. So each training window also has copies as of a watch that was worn a
little turned, and of somebody who turns it a little faster or slower. Windows of the test are as they were recorded.
"""

import io

# First, since it says what to do where there is no numpy.
import packaged

import numpy

FILE = packaged.File(
    package="seglearn",
    version="1.2.5",
    path="seglearn/data/watch_dataset.npy",
    sha256="eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537",
    terms="BSD 3-clause, copyright 2018 David M. Burns",
)

WINDOW, STEP = 100, 50
FOLDS = 5
# Copies of a training window; the deviation of the angle by which one is turned, and that of the logarithm of its pace.
COPIES, ANGLE, PACE, SEED = 4, numpy.radians(15), 0.1, 1
# What a modality observes of the six columns ax, ay, az (acceleration) and wx, wy, wz (rotation).
MODALITIES = {"acc-xy": [0, 1], "acc-z": [2], "gyro-xy": [3, 4], "gyro-z": [5]}


def windows(data):
    """All windows in the order of the recordings: [windows, 100, 6]; of each, the number of its recording."""
    cut, recordings = [], []
    for number, recording in enumerate(data["X"]):
        for start in range(0, len(recording) - WINDOW + 1, STEP):
            cut.append(recording[start : start + WINDOW])
            recordings.append(number)
    return numpy.asarray(cut, numpy.float32), numpy.asarray(recordings)


def turned(cut, draws):
    """Windows [n, 100, 6], each as of a watch that is turned about an axis of its own, in any direction."""
    axis = draws.normal(size=(len(cut), 3))
    x, y, z = (axis / numpy.linalg.norm(axis, axis=1, keepdims=True)).T
    zero, angle = numpy.zeros(len(cut)), ANGLE * draws.normal(size=(len(cut), 1, 1))
    # The rotation by Rodrigues' formula, of the matrix that multiplies by the axis.
    across = numpy.moveaxis(numpy.asarray([[zero, -z, y], [z, zero, -x], [-y, x, zero]]), 2, 0)
    turn = numpy.eye(3) + numpy.sin(angle) * across + (1 - numpy.cos(angle)) * (across @ across)
    acceleration, rotation = (numpy.einsum("nij,ntj->nti", turn, cut[:, :, of]) for of in (slice(3), slice(3, 6)))
    pace = numpy.exp(PACE * draws.normal(size=(len(cut), 1, 1)))
    return numpy.concatenate([acceleration, pace * rotation], axis=2).astype(numpy.float32)


def with_copies(arrays, copies):
    """Rows of training, and after them so many copies of all of them whose windows are turned."""
    draws = numpy.random.RandomState(SEED)
    copied = [arrays | {"window": turned(arrays["window"], draws)} for _ in range(copies)]
    return {name: numpy.concatenate([of[name] for of in [arrays, *copied]]) for name in arrays}


def arrays(data, fold, copies=COPIES):
    """Everything that is written, by name and split. Fold f holds out people 2f + 1 and 2f + 2."""
    cut, recording = windows(data)
    person = numpy.asarray(data["subject"], int)[recording]
    exercises = numpy.asarray(data["y_labels"], str)
    of_all = {"window": cut, "person": person, "recording": recording}
    of_all["exercise"] = exercises[numpy.asarray(data["y"], int)][recording]
    of_all["side"] = numpy.where(numpy.asarray(data["side"])[recording] > 0, "right", "left")
    is_test = numpy.isin(person, [2 * fold + 1, 2 * fold + 2])
    parts = {"train": with_copies(packaged.rows(of_all, ~is_test), copies), "test": packaged.rows(of_all, is_test)}
    for of in parts.values():
        window = of.pop("window")
        of |= {name: window[:, :, columns] for name, columns in MODALITIES.items()}
    return {f"{name}.{part}": array for part, of in parts.items() for name, array in of.items()}


def main():
    command = packaged.command("Writes seglearn's recordings as arrays.", "fold", FOLDS, "which two people are held out")
    command.add_argument("--copies", type=int, choices=range(100), default=COPIES, metavar="N",
                         help=f"turned copies of each training window (default: {COPIES})")
    asked = command.parse_args()
    content = packaged.content(FILE)
    # A pickle: it may be loaded because it is, to the bit, the one that was looked at.
    data = numpy.load(io.BytesIO(content), allow_pickle=True).item()
    written = arrays(data, asked.fold, asked.copies)
    packaged.write(asked.out, written)
    rows = {part: len(written[f"person.{part}"]) for part in ("train", "test")}
    held_out = " and ".join(str(person) for person in numpy.unique(written["person.test"]))
    print(f"{asked.out}: {rows['train']} windows to train on, copies among them, {rows['test']} of people {held_out} to test on")
    print(f"data: {FILE.package} {FILE.version}, {FILE.terms}")


if __name__ == "__main__":
    packaged.run(main)
