#!/usr/bin/env python3
"""Scores of runs by groups of test rows, such as people, with an interval over the groups; needs numpy.

    pom2dib predict RUN --passes 10 --out RUN.npz
    python3 examples/data/by_group.py person DATA RUN.npz DATA RUN.npz ...

Each DATA is the folder of arrays of the run behind it, with the groups in person.test.npy; "-" for a name takes every
DATA for a group of its own. A group's score is the mean over its rows, the passes, and the runs that have it. The
interval is Student's t over the groups.
"""

import sys

import numpy

# Student's t, 0.975, by degrees of freedom.
T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def scores(name, pairs):
    """Of each receiver, the scores of each group, a run each: {receiver: {group: [share]}}."""
    found = {}
    for folder, file in pairs:
        answers = numpy.load(file)
        for receiver in sorted({key.split(".")[0] for key in answers if key.startswith("receiver")}):
            right = (answers[f"{receiver}.answer"] == answers[f"{receiver}.label"]).mean(axis=0)
            of_rows = numpy.full(len(right), folder) if name == "-" else numpy.load(f"{folder}/{name}.test.npy")
            for group in numpy.unique(of_rows):
                found.setdefault(receiver, {}).setdefault(group.item(), []).append(right[of_rows == group].mean())
    return found


def main(name, *words):
    for receiver, groups in scores(name, list(zip(words[::2], words[1::2]))).items():
        means = numpy.asarray([numpy.mean(groups[group]) for group in sorted(groups)])
        half = T[len(means) - 1] * means.std(ddof=1) / len(means) ** 0.5 if len(means) - 1 in T else numpy.nan
        each = " ".join(f"{100 * mean:.1f}" for mean in means)
        print(f"{receiver}: {100 * means.mean():.2f} ± {100 * half:.2f} % over {len(means)} groups: {each}")


if __name__ == "__main__":
    main(*sys.argv[1:])
