"""The command: ``pom2dib`` and ``python -m pom2dib``."""

from __future__ import annotations

import os
import signal
import sys

from . import _classes, _native
from ._errors import Error, InternalError
from ._program import start
from ._records import parquet_asked_for, write_as_parquet

#: The word for a class that a node may load. It may be repeated.
_PYTHON = "--python"

#: The word with which a run starts its nodes: what the scenario names, the run's own user has named.
_OF_RUN = "--python-of-run"


def main() -> int:
    """Does what the command line says, and gives the exit status."""
    # The program has its own ways to end; where it has none, Ctrl-C ends it at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Networks in Python compute on threads of the program's, whose stacks are else smaller than those of Python's own.
    os.environ.setdefault("RUST_MIN_STACK", str(16 << 20))
    words, named, is_of_run = _without_classes(sys.argv[1:])
    if (parquet := parquet_asked_for(words)) is not None:
        return _records(*parquet)
    is_node = bool(words) and words[0] in ("transmitter", "receiver")
    _classes.allow(named, everything=is_of_run or not is_node)
    again = [*start(), _OF_RUN, *(word for name in named for word in (_PYTHON, name))]
    try:
        return _native.main(words, again, _native.__file__)
    except InternalError as error:
        print(f"error: an internal error, which should be reported: {error}", file=sys.stderr)
        return error.status


def _records(words: list[str], file: str) -> int:
    """Writes the table of ``records`` as Parquet, which the program itself does not."""
    try:
        write_as_parquet(words, file)
    except Error as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    return 0


def _without_classes(given: list[str]) -> tuple[list[str], list[str], bool]:
    """A command line without what it says of classes; and that, also from the environment."""
    words: list[str] = []
    named = [name for name in os.environ.get("POM2DIB_PYTHON_CLASSES", "").split(",") if name]
    rest = iter(given)
    is_of_run = False
    for word in rest:
        if word == _OF_RUN:
            is_of_run = True
        elif word == _PYTHON:
            name = next(rest, None)
            if name is None:
                print("error: --python needs a value: module:Class, or a file of classes", file=sys.stderr)
                sys.exit(2)
            named.append(name)
        elif word.startswith(f"{_PYTHON}="):
            named.append(word.removeprefix(f"{_PYTHON}="))
        else:
            words.append(word)
    return words, named, is_of_run


if __name__ == "__main__":
    sys.exit(main())
