"""What goes wrong, as exceptions."""

from __future__ import annotations


class Error(Exception):
    """What the program says in one line: which file, key or node is at fault, and what would be right.

    ``status`` is its exit status: 2 for wrong input that is found before the first round, 1 for a run that failed.
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class InternalError(Error):
    """A fault of the program itself: please report it, with this line."""

    def __init__(self, message: str, status: int = 101) -> None:
        super().__init__(message, status)


def needs(package: str, extra: str, what: str) -> Error:
    """The error of somebody who wants what an optional package brings."""
    return Error(f"{what} needs {package}: pip install 'pom2dib[{extra}]'", status=2)
