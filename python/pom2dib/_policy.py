"""Rules of selection of the caller's own: the other side of ``python/src/policy.rs``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._users import ModelError, OfUser, by, find, needed_numpy

if TYPE_CHECKING:
    import numpy


@dataclass(frozen=True, eq=False)
class Decision:
    """What a policy chooses from, at one node and tick."""

    #: ``"train"`` or ``"evaluate"``.
    phase: str
    #: In training the tick, counted from 0 over the whole run. In evaluation the number of the pass; with
    #: ``evaluation.draw = "tick"`` one more from each group of ``samples_per_tick`` test samples to the next.
    tick: int
    #: At a receiver its own number; at a transmitter that of the receiver for which modalities are chosen.
    receiver: int
    #: How many items there are, numbered from 0: at a receiver the transmitters, at a transmitter its modalities.
    items: int
    #: How many may be chosen at most.
    limit: int
    #: The common randomness: ``feature_dim`` standard normals, which all nodes have alike.
    u: numpy.ndarray[Any, Any]
    #: The strength of links in dB: at a receiver of each of its links, by transmitter; at a transmitter of its link to the receiver.
    #: ``None`` where the node knows no gain that changes from tick to tick.
    strengths_db: list[float | None]


@dataclass(frozen=True)
class Judged:
    """A choice of a round, and what it did cost."""

    #: The tick of the ``Decision``.
    tick: int
    #: The receiver of the ``Decision``.
    receiver: int
    #: What was chosen, in the order in which the policy named it, and before the cap.
    items: list[int]
    #: In nats: at a receiver its cost of the tick; at a transmitter the sum of the costs of all receivers that requested it at the tick,
    #: and with ``train.credit = "own"`` that of ``receiver`` alone.
    cost: float


class Policy:
    """A rule that says whom a receiver requests, or which modalities a transmitter chooses for a receiver that requested it.

    Every node has an object of its own. Choices depend on the decision, on ``generator`` and on the state, and on nothing else: so they are
    the same in every process, and after every restart. The state changes in ``learn`` alone.
    """

    #: Draws of ``choose`` from here are addressed: the same decision has the same ones. Seeded anew for every decision, and there in
    #: ``choose`` alone.
    generator: numpy.random.Generator

    def __init__(self, node: tuple[str, int], items: int, limit: int, receivers: int) -> None:
        """The policy of a node, ``("receiver", 0)`` or ``("transmitter", 2)``; the keys of its table come behind, by name.

        ``items`` and ``limit`` are those of all its decisions, and ``receivers`` is how many receivers there are: a transmitter chooses
        for each of them. It begins the same whenever it is made.
        """

    def choose(self, decision: Decision) -> Sequence[int] | numpy.ndarray[Any, Any]:
        """The items that are chosen: from 1 to ``limit`` different ones."""
        raise NotImplementedError(f"{type(self).__name__} chooses nothing: write choose(decision)")

    def learn(self, round: list[Judged]) -> None:
        """Learns from a round's choices and their costs, after every round in which this node chose: by tick, and at a transmitter within
        a tick by receiver. By default it learns nothing."""

    def state(self) -> Sequence[float] | numpy.ndarray[Any, Any]:
        """All that has been learnt: finite numbers side by side, always as many. By default there are none."""
        return []

    def restore(self, state: numpy.ndarray[Any, Any]) -> None:
        """Takes back a state, an array of float64 that is the policy's own from then on."""


#: The node, how many items there are, the limit, and how many receivers there are, as Rust tells them.
_Place = tuple[tuple[str, int], int, int, int]

#: A decision without its arrays, as Rust tells it.
_Told = tuple[bool, int, int, int, int]


def build(keys: str, place: _Place, threads: int) -> PolicyAdapter:
    """The policy of a node: of the class that the parameters of a scenario's selection name, with the keys beside it."""
    of = find(keys)
    found, source, words = of.of, of.source, of.keys
    if not (isinstance(found, type) and issubclass(found, Policy)):
        raise of.refusal("pom2dib.Policy")
    # A class that computes with it has imported it; its bits depend on how many threads there are.
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(threads)
    return PolicyAdapter(found, source, place, words)


class PolicyAdapter(OfUser):
    """A policy of a user's class, at one node."""

    def __init__(self, of: type[Policy], source: str, place: _Place, keys: dict[str, Any]) -> None:
        """Of a class, and the file in which it was written."""
        super().__init__(of, source)
        self.numpy = needed_numpy("a rule of selection in Python")
        # What the class has brought with it.
        loaded = [name for name in ("jax", "torch") if name in sys.modules]
        self.libraries = [f"numpy {self.numpy.__version__}", *(f"{name} {sys.modules[name].__version__}" for name in loaded)]
        with self.users("__init__"):
            self.policy = of(*place, **keys)
        #: The state as it was when it last might change.
        self.known = self.state()
        if self.known and of.restore is Policy.restore:
            raise ModelError(f"{self.name} has a state, and does not take one back: write restore(state)")

    # What Rust calls.

    def choose(self, told: _Told, seed: int, u: bytearray, strengths_db: list[float | None]) -> list[int]:
        """The items that are chosen."""
        is_training, tick, receiver, items, limit = told
        phase, common = "train" if is_training else "evaluate", self.numpy.frombuffer(u, self.numpy.float32)
        decision = Decision(phase, tick, receiver, items, limit, common, strengths_db)
        self.policy.generator = self.numpy.random.default_rng(seed)
        with self.users("choose"):
            chosen = self.numpy.asarray(self.policy.choose(decision))
        # Nothing else has an address.
        del self.policy.generator
        return self._checked(chosen, decision)

    def learn(self, told: list[tuple[int, int, list[int], float]]) -> bytes:
        """Learns from a round, and gives the state behind it."""
        if self.state() != self.known:
            raise ModelError(f"{self.name}.choose changes the state: only learn may, or the run would not go on the same")
        with self.users("learn"):
            self.policy.learn([Judged(*judged) for judged in told])
        self.known = self.state()
        return self.known

    def restore(self, kept: bytearray) -> bytes:
        """Takes back a state, and gives the one that it has then."""
        with self.users("restore"):
            self.policy.restore(self.numpy.frombuffer(kept, self.numpy.float64))
        self.known = self.state()
        return self.known

    def state(self) -> bytes:
        """All that has been learnt, as float64."""
        with self.users("state"):
            array = self.numpy.asarray(self.policy.state())
        if array.ndim != 1 or array.dtype.kind not in "fiu":
            raise ModelError(f"{self.name}.state gives {array.dtype} {by(array.shape)}; it must give numbers side by side, on one axis")
        made: bytes = array.astype(self.numpy.float64, copy=False).tobytes()
        return made

    def _checked(self, chosen: Any, decision: Decision) -> list[int]:
        """Numbers of items. How many they are, and whether two are the same, Rust checks."""
        at = f"at tick {decision.tick}"
        # An empty list has a type all the same.
        if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
            raise ModelError(f"{self.name}.choose gives {chosen.dtype} {by(chosen.shape)} {at}; it must give a list of integers")
        items: list[int] = chosen.tolist()
        for item in items:
            if not 0 <= item < decision.items:
                raise ModelError(f"{self.name}.choose gives item {item} {at}; there are {decision.items}, numbered from 0")
        return items
