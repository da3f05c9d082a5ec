"""Distributed, task-oriented semantic communication, simulated with real processes.

``run`` trains and judges a network, ``start`` shows its rounds as they come, ``sweep`` runs many, ``load`` opens the folder of one,
``serve`` answers samples with one, and ``records`` makes one table of several. ``Arrays`` makes a data set of numpy arrays. Classes that derive from ``Module`` (PyTorch) or
``ArrayModule`` (numpy, JAX) are networks of a run, those that derive from ``Channel`` its channels, one that derives from ``Policy`` its
rule of selection, and one that derives from ``Dataset`` its data. ``docs/python.md`` of the project explains all of it.
"""

from typing import TYPE_CHECKING, Any

from ._api import run, start, sweep
from ._array_module import ArrayModule
from ._arrays import Arrays
from ._channel import Channel, Crossing
from ._dataset import Dataset
from ._errors import Error, InternalError, needs
from ._live import Live
from ._policy import Decision, Judged, Policy
from ._program import call
from ._records import records
from ._rounds import Round
from ._run import Run, load
from ._serve import Service, serve
from ._sweep import Sweep

if TYPE_CHECKING:
    from ._torch import Module as Module

__all__ = [
    "ArrayModule",
    "Arrays",
    "Channel",
    "Crossing",
    "Dataset",
    "Decision",
    "Error",
    "InternalError",
    "Judged",
    "Live",
    "Policy",
    "Round",
    "Run",
    "Service",
    "Sweep",
    "call",
    "load",
    "records",
    "run",
    "serve",
    "start",
    "sweep",
]


def __getattr__(name: str) -> Any:
    """``Module``, which needs torch: that takes seconds to import, and is not there for everybody."""
    if name != "Module":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import torch  # noqa: F401
    except ImportError:
        raise needs("torch", "torch", "pom2dib.Module") from None
    from ._torch import Module

    return Module
