"""The folders that runs get without a word: what a run of one's own classes begins with is there before it begins."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._errors import Error

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def fresh_folder(scenario: str | None, keys: Mapping[str, Any]) -> Path:
    """A new folder under runs/, of the name that the program would give it: NAME-METHOD-sSEED, then -2, -3 and so on."""
    name = f"{_name(scenario, keys)}-{_of(scenario, keys, 'train.method', 'pom2dib')}-s{_of(scenario, keys, 'seed', 1)}"
    Path("runs").mkdir(exist_ok=True)
    for number in itertools.count(1):
        folder = Path("runs", name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            continue
    raise AssertionError("some number is free")


def folder_of_sweep(scenario: str | None) -> Path:
    """The folder of a sweep, which is the same for the same scenario."""
    return Path("runs", f"{_name(scenario, {})}-sweep")


def _name(scenario: str | None, keys: Mapping[str, Any]) -> str:
    name = str(_of(scenario, keys, "name", scenario or "digits"))
    return "".join(letter if letter.isalnum() or letter == "_" else "-" for letter in name)


def _of(scenario: str | None, keys: Mapping[str, Any], key: str, otherwise: Any) -> Any:
    """A key's value: as it is set, else as the scenario's file has it."""
    if keys.get(key) is not None:
        return keys[key]
    if scenario is None or not Path(scenario).is_file():
        return otherwise
    try:
        here: Any = tomllib.loads(Path(scenario).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Error(f"{scenario}: {error}", status=2) from None
    for word in key.split("."):
        here = here.get(word) if isinstance(here, dict) else None
    return otherwise if here is None else here
