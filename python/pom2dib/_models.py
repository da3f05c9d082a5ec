"""Networks that are written in Python, as the nodes of a run have them: the other side of ``python/src/network.rs``.

Rust asks ``build`` for a network, and its ``Adapter`` to compute. Numbers come as ``bytearray``, whose memory numpy and torch
use as it is, and go back as ``bytes``; parameters come as ``bytes``, and only if they have changed. Rows come in gradient blocks,
each of which is computed by itself: so how a round is cut into parts changes no bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from . import _classes
from ._users import ModelError, OfUser, by, find, needed_numpy

#: How many rows a network is tried on before it is used.
TRIED = 3

#: The generators' seed of that trial, and of everything that a class makes beside what learns.
_FIXED_SEED = 0


def build(keys: str, shape: list[int], outputs: int, threads: int) -> Adapter:
    """The network of a table of a scenario: of a class with these keys, from samples of a shape to so many values."""
    numpy = needed_numpy("a network in Python")
    of = find(keys)
    found, source, words = of.of, of.source, of.keys
    from ._array_module import ArrayAdapter, ArrayModule

    if isinstance(found, type) and issubclass(found, ArrayModule):
        adapter: Adapter = ArrayAdapter(numpy, (found, source), tuple(shape), outputs, words)
    elif _classes.is_torch(found):
        from ._torch import TorchAdapter

        adapter = TorchAdapter(numpy, (found, source), tuple(shape), outputs, words, threads)
    else:
        raise of.refusal("pom2dib.Module or pom2dib.ArrayModule")
    adapter.set_up()
    adapter.try_out()
    return adapter


class Adapter(OfUser):
    """A network of a user's class. What depends on how it computes is in the classes that derive from this one."""

    #: Names and versions of the libraries by which it computes.
    libraries: list[str]
    #: Whether it steps its parameters itself, instead of the run's AdamW.
    has_optimizer = False
    #: Whether it has numbers beside its parameters that passes of training may change.
    has_buffers = False
    #: Names and shapes of what learns, in order of name.
    parameters: list[tuple[str, list[int]]]

    def __init__(self, numpy: Any, found: tuple[type, str], shape: tuple[int, ...], outputs: int, keys: dict[str, Any]) -> None:
        """Of a class, and the file in which it was written."""
        super().__init__(*found)
        self.numpy = numpy
        self.shape = shape
        self.outputs = outputs
        self.keys = keys

    # What Rust calls.

    def begin(self, seed: int, device: str | None) -> bytes:
        """The values with which what learns begins, as drawn by generators with a seed: float32, side by side. ``device`` is the run's."""
        drawn = bytes(self.fresh(seed).tobytes())
        self.place(device or "cpu")
        return drawn

    def forward(
        self, values: bytes | None, x: bytearray, rows: list[int], seeds: list[int], training: bool, double: bool
    ) -> tuple[bytes, Any]:
        """The output for rows of an input in blocks, and what is kept of each block for the backward pass. Without values what learns
        is as it was at the last pass."""
        dtype = self.numpy.float64 if double else self.numpy.float32
        if values is not None:
            self.take(self.numpy.frombuffer(values, dtype))
        array = self.numpy.frombuffer(x, dtype).reshape(sum(rows), *self.shape)
        outputs, kept = [], []
        for block, seed in zip(_cut(array, rows), seeds):
            self.seed(seed)
            output, of_block = self.block_forward(block, training)
            self.check_output(output, block)
            outputs.append(output)
            kept.append(of_block)
        return _joined(self.numpy, outputs, dtype), (kept, rows) if training else None

    def backward(
        self, stored: Any, upstream: bytearray, to_input: bool, before: bytearray | None
    ) -> tuple[list[bytes], bytes | None]:
        """The gradient of what learns, of one parameter after the other: that of the blocks, added in their order to that of before, if
        there is one. And that of the input, if it is wanted."""
        if stored is None:
            raise ModelError(f"{self.name} is to give gradients of what was no training")
        kept, rows = stored
        total = sum(rows)
        dtype = self.numpy.float64 if len(upstream) == total * self.outputs * 8 else self.numpy.float32
        array = self.numpy.frombuffer(upstream, dtype).reshape(total, self.outputs)
        at_input = []
        self.begin_sums(None if before is None else self.numpy.frombuffer(before, dtype))
        for of_block, block in zip(kept, _cut(array, rows)):
            of_input = self.block_backward(of_block, block, to_input)
            if to_input:
                at_input.append(self.checked_input_gradient(of_input, block))
        sums = self.checked_sums()
        return [one.astype(dtype, copy=False).tobytes() for one in sums], _joined(self.numpy, at_input, dtype) if to_input else None

    # What is different for torch and for arrays.

    def set_up(self) -> None:
        """Makes the network, and notes its parameters."""
        raise NotImplementedError

    def seed(self, seed: int) -> None:
        """Seeds the generators that the class may draw from."""
        raise NotImplementedError

    def fresh(self, seed: int) -> Any:
        """The first values of what learns, side by side, in float32."""
        raise NotImplementedError

    def place(self, device: str) -> None:
        """Computes on a device of the run's from now on, if it can."""

    def take(self, values: Any) -> None:
        """Takes values of what learns for the passes that follow. They belong to the run: they are not to be changed."""
        raise NotImplementedError

    def block_forward(self, x: Any, training: bool) -> tuple[Any, Any]:
        """The output for rows, as an array, and what is kept of them."""
        raise NotImplementedError

    def begin_sums(self, before: Any) -> None:
        """Begins a sum of gradients of what learns: with those of before, side by side, or with none."""
        raise NotImplementedError

    def block_backward(self, kept: Any, upstream: Any, to_input: bool) -> Any:
        """Adds the gradient of what learns to the sum, and gives that of the rows."""
        raise NotImplementedError

    def end_sums(self) -> list[Any]:
        """The sum: an array for each parameter."""
        raise NotImplementedError

    # What is the same.

    def note(self, shapes: dict[str, Sequence[int]]) -> None:
        """Notes names and shapes of what learns."""
        if not shapes:
            raise ModelError(f"{self.name} has nothing that learns: give it at least one parameter, such as a linear layer behind the rest")
        for name in shapes:
            if not name or ".optimizer/" in name or ".buffers/" in name or any(not letter.isprintable() for letter in name):
                raise ModelError(f"{self.name}: a parameter is called {name!r}; give it a name that can be printed, without .optimizer/ and .buffers/")
            if any(f"{name}{moment}" in shapes for moment in (".m", ".v")):
                raise ModelError(f"{self.name}: {name}.m and {name}.v are the moments of {name} in checkpoints; rename one of them")
        self.parameters = [(name, [int(size) for size in shapes[name]]) for name in sorted(shapes)]

    def split(self, values: Any) -> Iterator[tuple[str, Any]]:
        """The values of each parameter, of all side by side."""
        start = 0
        for name, shape in self.parameters:
            count = int(self.numpy.prod(shape, dtype=int))
            yield name, values[start : start + count].reshape(shape)
            start += count

    def try_out(self) -> None:
        """Sees on a few rows whether it can be used at all: what comes out, and whether rows are independent."""
        generator = self.numpy.random.default_rng(_FIXED_SEED)
        x = generator.standard_normal((TRIED, *self.shape)).astype(self.numpy.float32)
        self.take(self.fresh(_FIXED_SEED))
        self.seed(_FIXED_SEED)
        output, kept = self.block_forward(x, True)
        self.check_output(output, x)
        self.begin_sums(None)
        at_input = self.block_backward(kept, self.numpy.ones_like(output), True)
        self.checked_sums()
        self.checked_input_gradient(at_input, output)
        together, alone = self.block_forward(x, False)[0], self.block_forward(x[1:2], False)[0]
        self.check_output(together, x)
        if not self.numpy.allclose(together[1:2], alone, rtol=1e-2, atol=1e-2 * float(abs(together).max() + 1e-6)):
            raise ModelError(
                f"{self.name}.forward gives another output for a row if other rows are there: in evaluation rows must not be mixed, "
                "as a batch normalisation without running statistics does; LayerNorm and GroupNorm do not"
            )

    def check_output(self, output: Any, x: Any) -> None:
        """One row of ``outputs`` finite numbers for each row of the input."""
        wanted, got = (len(x), self.outputs), tuple(getattr(output, "shape", ()))
        if got != wanted:
            raise ModelError(f"{self.name}.forward gives {by(got)} for an input {by(x.shape)}; it must give {by(wanted)}")
        # A sum is finite where all of its terms are, and is fast.
        if not self.numpy.isfinite(output.sum()):
            self.refuse_infinite(f"{self.name}.forward gives", output, f" for an input {by(x.shape)}{self.range_of(x)}")

    def checked_sums(self) -> list[Any]:
        """The sum of the gradients. What is not finite in a block is not in the sum either."""
        sums = self.end_sums()
        for (name, _), gradient in zip(self.parameters, sums):
            if not self.numpy.isfinite(gradient.sum()):
                self.refuse_infinite(f"{self.name}: the gradient of {name} has", gradient, "")
        return sums

    def checked_input_gradient(self, gradient: Any, block: Any) -> Any:
        wanted, got = (len(block), *self.shape), tuple(getattr(gradient, "shape", ()))
        if got not in (wanted, (len(block), int(self.numpy.prod(self.shape)))):
            raise ModelError(f"{self.name}.backward gives a gradient of its input that is {by(got)}; it must be {by(wanted)}")
        if not self.numpy.isfinite(gradient.sum()):
            self.refuse_infinite(f"{self.name}: the gradient of its input has", gradient, "")
        return gradient


def _cut(array: Any, rows: list[int]) -> Iterator[Any]:
    start = 0
    for count in rows:
        yield array[start : start + count]
        start += count


def _joined(numpy: Any, arrays: list[Any], dtype: Any) -> bytes:
    whole = arrays[0] if len(arrays) == 1 else numpy.concatenate(arrays)
    made: bytes = whole.astype(dtype, copy=False).tobytes()
    return made
