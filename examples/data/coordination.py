#!/usr/bin/env python3
"""Writes the problem of scenarios/coordination.toml as arrays: two bits, seen exactly and seen flipped now and then.

    python3 -m pip install numpy
    python3 examples/data/coordination.py coordination-data

Two fair bits are the tasks "first" and "second". The modality "exact" has both; "flipped" has both too, each flipped
with probability 0.11 by itself. All pairs of bits and flips are listed exactly as often as they are probable: nothing
depends on the luck of a draw, and what tests/theory/coordination.rs computes holds of these rows.
docs/results/coordination.md has what comes of it.
"""

import argparse

# First, since it says what to do where there is no numpy.
import packaged

import numpy

# Of a hundred, how many times a bit is seen flipped.
FLIPPED, OF = 11, 100
SEED = 1


def arrays():
    """Every array, by name: all rows, in the order of their bits."""
    counted = numpy.arange(4 * OF * OF)
    bits, rest = counted // (OF * OF), counted % (OF * OF)
    first, second = bits // 2, bits % 2
    flips = [rest // OF < FLIPPED, rest % OF < FLIPPED]
    exact = numpy.stack([first, second], axis=1)
    flipped = exact ^ numpy.stack(flips, axis=1)
    return {
        "exact": exact.astype(numpy.float32),
        "flipped": flipped.astype(numpy.float32),
        "first": first,
        "second": second,
    }


def main():
    command = argparse.ArgumentParser(description="Writes the problem of scenarios/coordination.toml as arrays.")
    command.add_argument("out", metavar="OUT", help="the folder to write to")
    asked = command.parse_args()
    rows, draws, written = arrays(), numpy.random.RandomState(SEED), {}
    # The same rows to train on and to test on, each in an order of its own: it is a law that is learnt, not rows.
    for part in ("train", "test"):
        order = draws.permutation(len(rows["first"]))
        written |= {f"{name}.{part}": array[order] for name, array in rows.items()}
    packaged.write(asked.out, written)
    print(f"{asked.out}: {len(rows['first'])} rows to train on, and the same to test on")


if __name__ == "__main__":
    packaged.run(main)
