#!/usr/bin/env python3
"""Classifiers on what watch.py and mfeat.py have written, for comparison; needs scikit-learn.

    python3 examples/data/baselines.py watch FOLD0 FOLD1 ...
    python3 examples/data/baselines.py mfeat SPLIT0 SPLIT1 ...

Each is fitted on the training rows of every folder and scored on all its test rows. With PyTorch there is a small
convolutional network on the raw windows of watch, too.
"""

import itertools
import sys

import numpy
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

try:
    import torch
except ImportError:
    torch = None

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


def network(channels, classes):
    """Three convolutions over time and the mean over what is left of it, as scenarios/watch.toml has them."""
    layers = []
    for before, after, size in [(channels, 16, 9), (16, 32, 9), (32, 32, 5)]:
        layers += [torch.nn.Conv1d(before, after, size, stride=2, padding=size // 2), torch.nn.ReLU()]
    layers += [torch.nn.AdaptiveAvgPool1d(1), torch.nn.Flatten(), torch.nn.Dropout(0.2)]
    return torch.nn.Sequential(*layers, torch.nn.Linear(32, classes))


def score_of_network(folder, task, seed=1, epochs=30, batch=100):
    """The share of a folder's test windows that a convolutional network of its raw training windows answers rightly.

    All axes are standardised over the training windows; AdamW with a rate that falls to 0. No row is held out for
    choosing anything: these numbers were set before the first run.
    """
    torch.manual_seed(seed)
    train, test = (read(folder, WATCH, part) for part in ("train", "test"))
    mean, deviation = train.mean(axis=(0, 1)), train.std(axis=(0, 1))
    windows = [torch.tensor(((rows - mean) / deviation).transpose(0, 2, 1).astype("f4")) for rows in (train, test)]
    names = numpy.unique(numpy.load(f"{folder}/{task}.train.npy"))
    labels = [
        torch.tensor(numpy.searchsorted(names, numpy.load(f"{folder}/{task}.{part}.npy")))
        for part in ("train", "test")
    ]
    model = network(windows[0].shape[1], len(names))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    steps = epochs * -(-len(windows[0]) // batch)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(windows[0])).split(batch):
            loss = torch.nn.functional.cross_entropy(model(windows[0][rows]), labels[0][rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        return (model(windows[1]).argmax(dim=1) == labels[1]).double().mean().item()


def show(what, scores):
    """A line: the mean over the folders, and each of them, in per cent."""
    each = " ".join(f"{100 * score:.1f}" for score in scores)
    print(f"{what}: mean {100 * numpy.mean(scores):.2f} % of {each}", flush=True)


def watch(folders):
    for task in ("exercise", "side"):
        logistic = LogisticRegression(max_iter=1000)
        scores = [score(logistic, folder, WATCH, task, statistics) for folder in folders]
        show(f"{task}, logistic regression on window statistics", scores)
    if torch is None:
        print("the convolutional network on raw windows is left out: it needs PyTorch, pip install torch")
        return
    for task in ("exercise", "side"):
        show(f"{task}, convolutions on raw windows", [score_of_network(folder, task) for folder in folders])


def mfeat(folders):
    for task in ("digit", "parity", "ring"):
        scores = [score(LogisticRegression(max_iter=1000), folder, MFEAT, task) for folder in folders]
        show(f"{task}, logistic regression on all views", scores)
    for pair in itertools.combinations(MFEAT, 2):
        show(f"digit, support vectors on {' and '.join(pair)}", [score(SVC(C=10), f, pair, "digit") for f in folders])


if __name__ == "__main__":
    {"watch": watch, "mfeat": mfeat}[sys.argv[1]](sys.argv[2:])
