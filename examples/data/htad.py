#!/usr/bin/env python3
"""Writes HTAD, home activities that come with multiviewstacking 0.7.5, as arrays for scenarios/htad.toml.

    python3 -m pip install numpy && python3 -m pip install --no-deps multiviewstacking==0.7.5
    python3 examples/data/htad.py htad-data --split 0

1386 windows of 7 activities at home: features of the sound and of the wrist's acceleration (E. Garcia-Ceja et al.,
"HTAD: A Home-Tasks Activities Dataset with Wrist-accelerometer and Audio Features", MMM 2021: to be cited by whoever
reports results, https://link.springer.com/chapter/10.1007/978-3-030-67835-7_17). The file does not say whose window it
is: split s of ten holds out a tenth of each activity's windows, and people are in training and test.
"""

import csv
import io

# First, since it says what to do where there is no numpy.
import packaged

import numpy

FILE = packaged.File(
    package="multiviewstacking",
    version="0.7.5",
    path="multiviewstacking/data/htad.csv",
    sha256="eedeef7290720759a6e4851c18eb6bc93cfc839f563098d5f1588a4e3dc47bce",
    terms="package MIT; the data are free for research and education only: competitions and commercial use need the"
    " authors' written permission, and whoever reports results cites their article (HTAD Readme.txt beside the data)",
)

SPLITS, SEED = 10, 1
# A modality's columns begin with this.
MODALITIES = {"audio": "v1_", "wrist": "v2_"}
HOUSEWORK = ["mop_floor", "sweep"]


def arrays(content, split):
    """Everything that is written, by name and split."""
    names, *rows = csv.reader(io.StringIO(content.decode("latin-1")))
    activity = numpy.asarray([row[names.index("class")] for row in rows])
    of_all = {"activity": activity, "housework": numpy.isin(activity, HOUSEWORK)}
    for name, begins in MODALITIES.items():
        columns = [i for i, column in enumerate(names) if column.startswith(begins)]
        of_all[name] = numpy.asarray([[row[i] for i in columns] for row in rows]).astype(numpy.float32)
    return packaged.split(of_all, packaged.held_out(activity, split, SPLITS, SEED))


def main():
    asked = packaged.command("Writes HTAD as arrays.", "split", SPLITS, "which tenth is held out").parse_args()
    written = arrays(packaged.content(FILE), asked.split)
    packaged.write(asked.out, written)
    rows = {part: len(written[f"activity.{part}"]) for part in ("train", "test")}
    print(f"{asked.out}: {rows['train']} windows to train on, {rows['test']} to test on")
    print(f"data: {FILE.package} {FILE.version}: {FILE.terms}")


if __name__ == "__main__":
    packaged.run(main)
