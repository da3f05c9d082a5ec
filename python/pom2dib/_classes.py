"""How a class comes to the processes that compute with it.

A class of an installed module goes by its name, ``module:Class``. Any other goes by value, through a file in the run's folder that its
owner alone may read: it never goes over the network, and a node that is started by hand loads nothing that its command line does not
name.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import pickle
import stat
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

from ._errors import Error, needs

#: What this process may load: the classes and files that are listed. ``None``: whatever the scenario names, since its own user gave it.
_allowed: list[str] | None = None

#: Files that have been read, by digest: the classes of a node's networks are in one.
_opened: dict[str, dict[str, tuple[bytes, str]]] = {}


def allow(named: Iterable[str], *, everything: bool) -> None:
    """Says what this process may load: ``module:Class``, or a file of classes."""
    global _allowed
    given = list(named)
    _allowed = None if everything else given
    for place in given:
        if ":" not in place:
            _moved.append(Path(place))


#: Files of classes that the command line names, for runs whose folder has moved.
_moved: list[Path] = []


def find(name: str | None, file: str | None, sha256: str | None) -> tuple[Any, str]:
    """The class that a scenario names, and the file in which one that goes by value was written.

    Raises:
        Error: in one line, with what would help.
    """
    if not isinstance(name, str) or not name:
        raise Error('class is missing: name one of an installed module, class = "module:Class"', status=2)
    if file is None:
        return _of_module(name), ""
    return _of_file(name, Path(file), sha256)


def _of_module(name: str) -> Any:
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise Error(f'class is "{name}"; name one of an installed module, such as "my_package.models:Encoder"', status=2)
    if _allowed is not None and name not in _allowed:
        raise Error(f"class {name}: this node was not told to load it; start it with --python {name}", status=2)
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        raise Error(f"class {name}: {error}; install the module where this node runs ({sys.executable})", status=2) from None
    for step in attribute.split("."):
        if not hasattr(found, step):
            raise Error(f"class {name}: module {module} has no {attribute}", status=2)
        found = getattr(found, step)
    return found


def _of_file(name: str, file: Path, sha256: str | None) -> tuple[Any, str]:
    content = _classes_of(_place(name, file, sha256), sha256)
    if name not in content:
        raise Error(f"class {name}: {file} has {', '.join(sorted(content))}", status=2)
    try:
        import cloudpickle  # noqa: F401
    except ImportError:
        raise needs("cloudpickle", "models", f"class {name}") from None
    made, source = content[name]
    try:
        return pickle.loads(made), source
    except ModuleNotFoundError as error:
        raise Error(f"class {name} needs {error.name}: install it where this node runs ({sys.executable})", status=2) from None
    except Exception as error:
        what = str(error).splitlines()[:1]
        raise Error(f"class {name} cannot be made of {file}: {type(error).__name__}: {''.join(what)}", status=2) from None


def _place(name: str, file: Path, sha256: str | None) -> Path:
    """Where the file is: where it was written, or where the command line says that it is now."""
    for moved in _moved:
        if moved.is_file() and sha256 == _digest(moved.read_bytes()):
            return moved
    if _allowed is not None:
        raise Error(
            f"class {name} is in a file of the run, which does not go to other machines: install its module there, name it "
            f'class = "module:Class", and start the node with --python module:Class',
            status=2,
        )
    if not file.exists():
        raise Error(f"class {name}: {file} is not there; where the run's folder has moved, add --python NEW_FOLDER/{file.name}", status=2)
    return file


def _classes_of(file: Path, sha256: str | None) -> dict[str, tuple[bytes, str]]:
    if sha256 is None:
        raise Error(f"{file}: the scenario does not say its sha256", status=2)
    if sha256 in _opened:
        return _opened[sha256]
    try:
        descriptor = os.open(file, os.O_RDONLY)
        with os.fdopen(descriptor, "rb") as opened:
            about = os.fstat(opened.fileno())
            content = opened.read()
    except OSError as error:
        raise Error(f"{file}: {error.strerror}", status=2) from None
    # What is loaded is run: nobody else may have written it.
    if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid():
        raise Error(f"{file}: it is not a file of this user, so its classes are not loaded", status=2)
    if about.st_mode & 0o077:
        raise Error(f"{file}: others may read or write it, so its classes are not loaded: chmod 600 {file}", status=2)
    if _digest(content) != sha256:
        raise Error(f"{file}: its SHA-256 is {_digest(content)}, and the scenario says {sha256}: it is not the run's", status=2)
    held: dict[str, Any] = pickle.loads(content)
    sys.path.extend(place for place in held["path"] if place not in sys.path)
    classes: dict[str, tuple[bytes, str]] = held["classes"]
    _opened[sha256] = classes
    return classes


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def is_torch(of: Any) -> bool:
    """Whether a class derives from ``pom2dib.Module``, without importing torch."""
    return isinstance(of, type) and any((base.__module__, base.__name__) == ("pom2dib._torch", "Module") for base in of.__mro__)


def is_model(of: Any) -> bool:
    """Whether a class can be a network."""
    from ._array_module import ArrayModule

    return isinstance(of, type) and (issubclass(of, ArrayModule) or is_torch(of))


def is_installed(of: type) -> bool:
    """Whether every process of this environment can import a class by its name."""
    loaded = sys.modules.get(of.__module__)
    file = getattr(loaded, "__file__", None)
    if of.__module__ == "__main__" or file is None or getattr(loaded, of.__qualname__, None) is not of:
        return False
    places = {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")}
    path = Path(file).resolve()
    known = any(Path(place).resolve() in path.parents for place in places if place)
    return known or bool({"site-packages", "dist-packages"} & set(path.parts))


def packed(classes: dict[str, type]) -> bytes:
    """Classes by value, as a file has them."""
    held = {
        "path": [place for place in sys.path if place],
        "classes": {name: (_by_value(of), _source(of)) for name, of in classes.items()},
    }
    return pickle.dumps(held)


def _source(of: type) -> str:
    """Where a class was written, for messages: cloudpickle leaves that out."""
    codes = [member.__code__ for member in vars(of).values() if isinstance(member, FunctionType)]
    file = codes[0].co_filename if codes else ""
    return file if os.path.isfile(file) else "a cell"


def _by_value(of: type) -> bytes:
    try:
        import cloudpickle
    except ImportError:
        raise needs("cloudpickle", "models", f"{of.__name__}, which is not a class of an installed module,") from None
    module = sys.modules.get(of.__module__)
    by_value = module is not None and of.__module__ != "__main__"
    if by_value:
        cloudpickle.register_pickle_by_value(module)
    try:
        made: bytes = cloudpickle.dumps(of)
    except Exception as error:
        what = (str(error).splitlines() or [""])[0]
        raise Error(f"{of.__name__} cannot be given to the nodes: {type(error).__name__}: {what}", status=2) from None
    finally:
        if by_value:
            cloudpickle.unregister_pickle_by_value(module)
    return _same_again(made, getattr(cloudpickle.cloudpickle, "_DYNAMIC_CLASS_TRACKER_BY_CLASS", {}))


def _same_again(made: bytes, numbered: Mapping[Any, str]) -> bytes:
    """What is the same for the same class in every session, in which cloudpickle gives classes other random numbers: a sweep goes
    on with the classes that it began with."""
    numbers = [number.encode() for number in numbered.values() if number.encode() in made]
    numbers.sort(key=made.index)
    blank = made
    for number in numbers:
        blank = blank.replace(number, bytes(len(number)))
    for at, number in enumerate(numbers):
        made = made.replace(number, _digest(blank + bytes([at % 256])).encode()[: len(number)])
    return made
