"""The command: ``pom2dib`` and ``python -m pom2dib``."""

from __future__ import annotations

import signal
import sys

from . import _native
from ._errors import InternalError
from ._program import start


def main() -> int:
    """Does what the command line says, and gives the exit status."""
    # The program has its own ways to end; where it has none, Ctrl-C ends it at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return _native.main(sys.argv[1:], start(), _native.__file__)
    except InternalError as error:
        print(f"error: an internal error, which should be reported: {error}", file=sys.stderr)
        return error.status


if __name__ == "__main__":
    sys.exit(main())
