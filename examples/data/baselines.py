#!/usr/bin/env python3
"""Classical classifiers on what watch.py and mfeat.py have written, for comparison; needs scikit-learn.

    python3 examples/data/baselines.py watch FOLD0 FOLD1 ...
    python3 examples/data/baselines.py mfeat SPLIT0 SPLIT1 ...

Each is fitted on the training rows of every folder and scored on all its test rows.
"""

import itertools
import sys

import numpy
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

WATCH = ["acc-xy", "acc-z", "gyro-xy", "gyro-z"]
MFEAT = ["fac", "fou", "kar", "mor", "pix", "zer"]


def read(folder, names, part):
    """Arrays side by side along their last axis."""
    return numpy.concatenate([numpy.load(f"{folder}/{name}.{part}.npy") for name in names], axis=-1)


def statistics(windows):
    """Of each axis of a window: mean, deviation, extremes, quartiles, mean size and mean step."""
    quartiles = numpy.percentile(windows, [25, 50, 75], axis=1)
    steps = numpy.abs(numpy.diff(windows, axis=1)).mean(axis=1)
    moments = [windows.mean(axis=1), windows.std(axis=1), windows.min(axis=1), windows.max(axis=1)]
    return numpy.concatenate([*moments, *quartiles, numpy.abs(windows).mean(axis=1), steps], axis=1)


def score(model, folder, names, task, features=lambda rows: rows):
    """The share of a folder's test rows that a classifier of its training rows answers rightly."""
    train, test = (features(read(folder, names, part)) for part in ("train", "test"))
    labels = {part: numpy.load(f"{folder}/{task}.{part}.npy") for part in ("train", "test")}
    return make_pipeline(StandardScaler(), model).fit(train, labels["train"]).score(test, labels["test"])


def show(what, scores):
    """A line: the mean over the folders, and each of them, in per cent."""
    each = " ".join(f"{100 * score:.1f}" for score in scores)
    print(f"{what}: mean {100 * numpy.mean(scores):.2f} % of {each}", flush=True)


def watch(folders):
    for task in ("exercise", "side"):
        logistic = LogisticRegression(max_iter=1000)
        scores = [score(logistic, folder, WATCH, task, statistics) for folder in folders]
        show(f"{task}, logistic regression on window statistics", scores)


def mfeat(folders):
    for task in ("digit", "parity", "ring"):
        scores = [score(LogisticRegression(max_iter=1000), folder, MFEAT, task) for folder in folders]
        show(f"{task}, logistic regression on all views", scores)
    for pair in itertools.combinations(MFEAT, 2):
        show(f"digit, support vectors on {' and '.join(pair)}", [score(SVC(C=10), f, pair, "digit") for f in folders])


if __name__ == "__main__":
    {"watch": watch, "mfeat": mfeat}[sys.argv[1]](sys.argv[2:])
