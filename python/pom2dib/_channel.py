"""Channels of the caller's own: the other side of ``python/src/channel.rs``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._users import ModelError, OfUser, by, find, needed_numpy

if TYPE_CHECKING:
    import numpy


@dataclass(frozen=True)
class Crossing:
    """One crossing of a channel: what one modality of one transmitter sends one receiver at one tick."""

    #: ``"train"`` or ``"evaluate"``.
    phase: str
    #: The pass of the evaluation; 0 in training.
    evaluation_pass: int
    #: Who sends.
    transmitter: int
    #: Who hears it.
    receiver: int
    #: The modality, by its number at the transmitter.
    modality: int
    #: The tick of training; in evaluation, the group of ``samples_per_tick`` test samples.
    tick: int


class Channel:
    """What happens to features on their way from a transmitter to a receiver, on arrays or in PyTorch.

    What transmitters send has the mean power 1 a symbol, which is two values. Without ``pull_back``, ``send`` is given tensors of
    PyTorch, and autograd finds the way back.
    """

    #: Draws from here are addressed: the same crossing has the same ones, on the way back too. Seeded anew for every call, as are the
    #: generators of numpy, torch and ``random``.
    generator: numpy.random.Generator

    def send(self, crossing: Crossing, z: Any) -> Any:
        """What arrives of a tick's features [samples, feature_dim]. No row may depend on another one."""
        raise NotImplementedError(f"{type(self).__name__} sends nothing: write send(crossing, z)")

    def pull_back(self, crossing: Crossing, z: Any, gradient: Any) -> Any:
        """The gradient with respect to what was sent, given that with respect to what arrived. ``z`` is what was sent."""
        raise NotImplementedError(f"{type(self).__name__} has no gradients: write pull_back(crossing, z, gradient)")


def build(keys: str, threads: int) -> ChannelAdapter:
    """The channel of a table of a scenario: of a class, with these keys."""
    of = find(keys)
    found, source, words = of.of, of.source, of.keys
    if not (isinstance(found, type) and issubclass(found, Channel)):
        raise of.refusal("pom2dib.Channel")
    if found.pull_back is not Channel.pull_back:
        return ChannelAdapter(found, source, words)
    try:
        import torch  # noqa: F401
    except ImportError:
        what = "write pull_back(crossing, z, gradient), or let PyTorch find it: pip install 'pom2dib[torch]'"
        raise ModelError(f"{found.__name__} has no pull_back: {what}") from None
    from ._torch_channel import TorchChannelAdapter

    return TorchChannelAdapter(found, source, words, threads)


#: A crossing as Rust tells it.
_Told = tuple[bool, int, int, int, int, int]


class ChannelAdapter(OfUser):
    """A channel of a user's class, which computes on arrays."""

    def __init__(self, of: type, source: str, keys: dict[str, Any]) -> None:
        """Of a class, and the file in which it was written."""
        super().__init__(of, source)
        self.numpy = needed_numpy("a channel in Python")
        # What the class has brought with it.
        loaded = [name for name in ("jax",) if name in sys.modules]
        self.libraries = [f"numpy {self.numpy.__version__}", *(f"{name} {sys.modules[name].__version__}" for name in loaded)]
        with self.users("__init__"):
            self.channel: Channel = of(**keys)

    # What Rust calls.

    def send(self, told: _Told, seed: int, width: int, _: bytearray, values: bytearray) -> bytes:
        """What arrives, as float32."""
        z = self._rows(values, width)
        self.seed(seed)
        return self._checked("send", self.arrived(_crossing(told), z), z)

    def pull_back(self, told: _Told, seed: int, width: int, sent: bytearray, values: bytearray) -> bytes:
        """The gradient with respect to what was sent, as float32."""
        z, gradient = self._rows(sent, width), self._rows(values, width)
        self.seed(seed)
        return self._checked("pull_back", self.pulled_back(_crossing(told), z, gradient), gradient)

    # What is different in PyTorch.

    def seed(self, seed: int) -> None:
        """Seeds the generators that the class may draw from."""
        self.channel.generator = self.numpy.random.default_rng(seed)

    def arrived(self, crossing: Crossing, z: Any) -> Any:
        """What arrives of an array, as one."""
        with self.users("send"):
            return self.numpy.asarray(self.channel.send(crossing, z))

    def pulled_back(self, crossing: Crossing, z: Any, gradient: Any) -> Any:
        """The gradient with respect to an array that was sent."""
        with self.users("pull_back"):
            return self.numpy.asarray(self.channel.pull_back(crossing, z, gradient))

    # What is the same.

    def _rows(self, values: bytearray, width: int) -> Any:
        return self.numpy.frombuffer(values, self.numpy.float32).reshape(-1, width)

    def _checked(self, method: str, answer: Any, given: Any) -> bytes:
        if answer.shape != given.shape or answer.dtype.kind != "f":
            what = f"{answer.dtype} {by(answer.shape)} for an array {by(given.shape)}; it must give as many floats"
            raise ModelError(f"{self.name}.{method} gives {what}")
        if not self.numpy.isfinite(answer.sum()):
            self.refuse_infinite(f"{self.name}.{method} gives", answer, self.range_of(given))
        made: bytes = answer.astype(self.numpy.float32, copy=False).tobytes()
        return made


def _crossing(told: _Told) -> Crossing:
    is_training, *others = told
    return Crossing("train" if is_training else "evaluate", *others)
