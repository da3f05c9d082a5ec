"""Networks, channels, rules of selection and data of the caller's own classes, as a run is told of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from ._channel import Channel
from ._classes import is_installed, is_model, packed
from ._dataset import Dataset, scenario
from ._errors import Error
from ._policy import Policy
from ._words import toml

#: A network: a class that derives from ``Module`` or ``ArrayModule``; the name of one in an installed module, ``"module:Class"``; or a
#: table with either as ``"class"`` and keys beside it, as a scenario's table of a network has them.
Network: TypeAlias = Callable[..., Any] | str | Mapping[str, Any]

#: A channel: a class that derives from ``Channel``; the name of one in an installed module; or a table with either as ``"class"`` and the
#: keys that it is made with. ``transmitter``, ``receiver``, ``power`` and ``peak`` in it are the channel's, as in a scenario. A table
#: without a class is one of a scenario.
OneChannel: TypeAlias = type[Channel] | str | Mapping[str, Any]

#: A rule of selection: a class that derives from ``Policy``; the name of one in an installed module; or a table with either as ``"class"``
#: and the keys that it is made with.
OnePolicy: TypeAlias = type[Policy] | str | Mapping[str, Any]

#: The keys of a channel's table that are not given to its class.
_OF_EVERY_CHANNEL = ("transmitter", "receiver", "power", "peak")

#: How many values the head of an encoder is given of a sample, if neither the table nor the class says so.
_OUTPUTS = 64


class Parts:
    """What of a run's networks, channels and rule of selection is the caller's, by the keys of their tables."""

    def __init__(
        self,
        encoders: Mapping[str, Network] | None,
        decoders: Mapping[str, Network] | None,
        local_decoders: Mapping[str, Network] | None,
        selectors: Network | None,
        channels: OneChannel | Sequence[OneChannel] | None,
        policy: OnePolicy | None,
    ) -> None:
        self._tables: dict[str, dict[str, Any]] = {}
        self._channels: list[dict[str, Any]] | None = None
        self._policy: dict[str, Any] | None = None
        self._classes: dict[str, type] = {}
        parts = {"encoder": ("encoders", encoders), "joint": ("decoders", decoders), "local": ("local_decoders", local_decoders)}
        for part, (said, named) in parts.items():
            for name, network in _named(said, named):
                self._add(f"network.{part}.{name}", network, f"{said}[{name!r}]")
        if selectors is not None:
            self._add("network.selector", selectors, "selectors")
        if channels is not None:
            several = channels if isinstance(channels, Sequence) and not isinstance(channels, str) else [channels]
            self._channels = [self._channel(of, f"channels[{number}]" if several is channels else "channels") for number, of in enumerate(several)]
        if policy is not None:
            self._policy = self._rule(policy)

    def __bool__(self) -> bool:
        return bool(self._tables) or self._channels is not None or self._policy is not None

    def words(self, folder: Path) -> list[str]:
        """The assignments that put them into the scenario. Classes go to a file in the run's folder, if any goes by value."""
        by_value: dict[str, str] = {}
        if self._classes:
            file, sha256 = _write(folder, packed(self._classes))
            by_value = {"file": str(file), "sha256": sha256}

        def told(table: dict[str, Any]) -> dict[str, Any]:
            return {**table, **(by_value if table.get("class") in self._classes else {})}

        words = []
        for key, table in self._tables.items():
            words += ["--set", f"{key}={toml(told(table), key)}"]
        if self._channels is not None:
            tables = [{**of, "parameters": told(of["parameters"])} if "parameters" in of else of for of in self._channels]
            words += ["--set", f"channel={toml(tables, 'channels')}"]
        if self._policy is not None:
            words += ["--set", 'train.selection="python"']
            words += ["--set", f"train.selection_parameters={toml(told(self._policy), 'policy')}"]
        return words

    def _channel(self, given: OneChannel, said: str) -> dict[str, Any]:
        """A channel as a table of the scenario."""
        table: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {"class": given}
        if "kind" in table:
            if "class" in table:
                raise Error(f"{said} has kind and class: a channel of a class has no kind", status=2)
            return table
        wanted = "a class that derives from pom2dib.Channel is wanted, or a table with one or with kind"
        self._name_class(table, Channel, f"{said} is {given!r}: {wanted}", (said, "my_package.channels:Fog"))
        own = {key: table.pop(key) for key in _OF_EVERY_CHANNEL if key in table}
        return {**own, "kind": "python", "parameters": table}

    def _rule(self, given: OnePolicy) -> dict[str, Any]:
        """A rule of selection as the scenario's table of its parameters."""
        table: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {"class": given}
        wanted = "a class that derives from pom2dib.Policy is wanted, or a table with one"
        self._name_class(table, Policy, f"policy is {given!r}: {wanted}", ("policy", "my_package.rules:Bandit"))
        return table

    def _name_class(self, table: dict[str, Any], base: type, refusal: str, said: tuple[str, str]) -> None:
        """Puts the name of a table's class into the place of the class. ``refusal`` is said of anything that does not derive from a
        base class, and ``said`` has what is named and an example, for a name without its module."""
        of = table.get("class")
        if isinstance(of, type) and issubclass(of, base):
            table["class"] = self._name(of)
        elif not isinstance(of, str):
            raise Error(refusal, status=2)
        elif ":" not in of:
            raise Error(f'{said[0]} is "{of}"; name a class of an installed module, such as "{said[1]}"', status=2)

    def _add(self, key: str, network: Network, said: str) -> None:
        table: dict[str, Any] = {"kind": "python", **(network if isinstance(network, Mapping) else {"class": network})}
        of = table.get("class")
        is_whole = table.pop("whole", False)
        if isinstance(of, str):
            if ":" not in of:
                raise Error(f'{said} is "{of}"; name a class of an installed module, such as "my_package.models:Encoder"', status=2)
        elif isinstance(of, type) and is_model(of):
            table["class"] = self._name(of)
        else:
            raise Error(f"{said} is {of!r}: a class that derives from pom2dib.Module or pom2dib.ArrayModule is wanted", status=2)
        if key.startswith("network.encoder."):
            if is_whole and "outputs" in table:
                raise Error(f"{said} is whole, and has outputs too: those of a whole encoder follow from the scenario", status=2)
            if not is_whole:
                table.setdefault("outputs", getattr(of, "outputs", None) or _OUTPUTS)
        elif is_whole:
            raise Error(f"{said}: only encoders may be whole, or a trunk with a head behind it", status=2)
        self._tables[key] = table

    def _name(self, of: type) -> str:
        """By what name the nodes find a class."""
        if is_installed(of):
            return f"{of.__module__}:{of.__qualname__}"
        name, number = of.__name__, 2
        while self._classes.setdefault(name, of) is not of:
            name, number = f"{of.__name__}-{number}", number + 1
        return name


class Data:
    """A data set of a class of the caller's, as a run is told of it."""

    def __init__(self, given: Any) -> None:
        """Of a class that derives from ``Dataset``, or a table with one as ``"class"`` and the keys that it is given."""
        table = dict(given) if isinstance(given, Mapping) else {"class": given}
        of = table.pop("class", None)
        if not (isinstance(of, type) and issubclass(of, Dataset)):
            raise Error(f"data is {of!r}: a folder, pom2dib.Arrays or a class that derives from pom2dib.Dataset is wanted", status=2)
        self._of, self._keys = of, table

    def scenario(self) -> str:
        """One that can be run with it, but for ``[data]``."""
        return scenario(self._of(**self._keys), self._of.__name__)

    def words(self, folder: Path) -> list[str]:
        """The assignment that puts it into the scenario."""
        table: dict[str, Any] = {"source": "python"}
        if is_installed(self._of):
            table["class"] = f"{self._of.__module__}:{self._of.__qualname__}"
        else:
            file, sha256 = _write(folder, packed({self._of.__name__: self._of}))
            table.update({"class": self._of.__name__, "file": str(file), "sha256": sha256})
        return ["--set", f"data={toml({**table, 'keys': self._keys}, 'data')}"]


def _named(said: str, given: Mapping[str, Network] | None) -> Iterator[tuple[str, Network]]:
    if given is None:
        return
    if not isinstance(given, Mapping):
        name = "the modality" if said == "encoders" else "the task"
        raise Error(f"{said} is {type(given).__name__}; give a dict: {name}, and the class that is for it", status=2)
    yield from given.items()


def _write(folder: Path, content: bytes) -> tuple[Path, str]:
    """A file that its owner alone may read, under the name of its content."""
    sha256 = hashlib.sha256(content).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder.absolute() / f"classes-{sha256[:12]}.pkl"
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
    fresh.replace(file)
    return file, sha256
