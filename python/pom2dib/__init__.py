"""Distributed, task-oriented semantic communication, simulated with real processes.

``run`` trains and judges a network, ``start`` shows its rounds as they come, ``sweep`` runs many, ``load`` opens the folder of one, and
``records`` makes one table of several. ``Arrays`` makes a data set of numpy arrays. ``docs/python.md`` of the project explains all of it.
"""

from ._api import run, start, sweep
from ._arrays import Arrays
from ._errors import Error, InternalError
from ._live import Live
from ._program import call
from ._records import records
from ._rounds import Round
from ._run import Run, load
from ._sweep import Sweep

__all__ = [
    "Arrays",
    "Error",
    "InternalError",
    "Live",
    "Round",
    "Run",
    "Sweep",
    "call",
    "load",
    "records",
    "run",
    "start",
    "sweep",
]
