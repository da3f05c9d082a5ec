"""What a caller gives, as words of a command line."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

from ._errors import Error


def assignments(keys: Mapping[str, Any]) -> list[str]:
    """``--set KEY=VALUE`` of every key, with the value as TOML has it."""
    words = []
    for key, value in keys.items():
        words += ["--set", f"{key}={toml(value, key)}"]
    return words


def flags(given: Mapping[str, object]) -> list[str]:
    """``--name value`` of all that is not None; of True only the name."""
    words = []
    for name, value in given.items():
        if value is None or value is False:
            continue
        words.append("--" + name.replace("_", "-"))
        if value is not True:
            words.append(os.fspath(value) if isinstance(value, os.PathLike) else str(value))
    return words


def toml(value: Any, key: str) -> str:
    """A value as TOML has it, on one line; numpy's numbers and arrays too."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else {math.inf: "inf", -math.inf: "-inf"}.get(value, "nan")
    if isinstance(value, str):
        # TOML's escapes are JSON's, but for this one character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(name))} = {toml(of, key)}" for name, of in value.items()) + "}"
    if isinstance(value, (list, tuple, range)):
        return "[" + ", ".join(toml(of, key) for of in value) + "]"
    raise Error(f"{key}: a {type(value).__name__} is no value of a scenario; give a number, text, bool, list or dict", status=2)
