"""The folders that runs get without a word: what a run of one's own classes begins with is there before it begins."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._program import call
from ._words import assignments

_NETWORKS = ("network.encoder", "network.joint", "network.local", "network.selector")


def fresh_folder(words: list[str], keys: Mapping[str, Any]) -> Path:
    """A new folder under runs/, of the name that the program would give it: NAME-METHOD-sSEED, then -2, -3 and so on."""
    # Keys within tables of one's own networks mean nothing before these are there.
    others = {key: of for key, of in keys.items() if not key.startswith(_NETWORKS)}
    about = json.loads(call("check", "--json", *words, *assignments(others)))
    name = f"{_safe(about['name'])}-{about['method']}-s{about['seed']}"
    Path("runs").mkdir(exist_ok=True)
    for number in itertools.count(1):
        folder = Path("runs", name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            continue
    raise AssertionError("some number is free")


def folder_of_sweep(words: list[str]) -> Path:
    """The folder of a sweep, which is the same for the same scenario."""
    about = json.loads(call("check", "--json", *words))
    return Path("runs", f"{_safe(about['name'])}-sweep")


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter == "_" else "-" for letter in name)
