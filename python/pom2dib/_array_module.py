"""Networks on arrays: in numpy, in JAX, or in whatever else gives arrays."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ._models import Adapter
from ._users import ModelError

if TYPE_CHECKING:
    import numpy


class ArrayModule:
    """A network that computes its own gradients, in numpy, in JAX or in whatever gives arrays.

    A class that derives from this one is made with the shape of a sample and the number of values that it is to give of one,
    and with the keys of its table in the scenario; it holds sizes alone. The parameters are the run's, and are given to
    every pass, to be read: so optimizer, checkpoints and fingerprint are those of every other network.
    """

    #: Draws from here are addressed: a run has the same ones wherever it goes on. Seeded anew for every call.
    generator: numpy.random.Generator
    #: Whether a pass is of training. In evaluation nothing should be drawn.
    training: bool = False

    def __init__(self, shape: tuple[int, ...], out: int) -> None:
        """A network from rows of samples [n, *shape] to [n, out]."""

    def initial(self, generator: numpy.random.Generator) -> dict[str, Any]:
        """The parameters by name, as they begin."""
        raise NotImplementedError(f"{type(self).__name__} does not say with what parameters it begins: write initial(generator)")

    def forward(self, parameters: dict[str, Any], x: Any) -> tuple[Any, Any]:
        """The output [n, out] of rows [n, *shape], and what the backward pass needs. Rows must be independent."""
        raise NotImplementedError(f"{type(self).__name__} computes nothing: write forward(parameters, x)")

    def backward(self, kept: Any, upstream: Any) -> tuple[dict[str, Any], Any]:
        """The gradients of the parameters, summed over rows, and that of the rows, given that of the output [n, out]."""
        raise NotImplementedError(f"{type(self).__name__} has no gradients: write backward(kept, upstream)")


class ArrayAdapter(Adapter):
    """A network of a class that derives from ``ArrayModule``."""

    def set_up(self) -> None:
        # What the class has brought with it.
        loaded = [name for name in ("jax",) if name in sys.modules]
        self.libraries = [f"numpy {self.numpy.__version__}", *(f"{name} {sys.modules[name].__version__}" for name in loaded)]
        with self.users("__init__"):
            self.module: ArrayModule = self.of(self.shape, self.outputs, **self.keys)
        self.note({name: array.shape for name, array in self._initial(0).items()})
        self.values: dict[str, Any] = {}
        self.sums: Any = None

    def seed(self, seed: int) -> None:
        self.module.generator = self.numpy.random.default_rng(seed)

    def fresh(self, seed: int) -> Any:
        initial = self._initial(seed)
        return self._flat(initial, "initial", self.numpy.float32)

    def take(self, values: Any) -> None:
        # The next passes have the same ones.
        values.flags.writeable = False
        self.values = dict(self.split(values))

    def block_forward(self, x: Any, training: bool) -> tuple[Any, Any]:
        self.module.training = training
        with self.users("forward"):
            answer = self.module.forward(self.values, x)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise ModelError(f"{self.name}.forward gives {type(answer).__name__}; it must give a pair, the output and what backward needs")
        return self._array(answer[0], "forward"), answer[1]

    def begin_sums(self, before: Any) -> None:
        self.sums = before

    def block_backward(self, kept: Any, upstream: Any, to_input: bool) -> Any:
        with self.users("backward"):
            answer = self.module.backward(kept, upstream)
        if not isinstance(answer, tuple) or len(answer) != 2 or not isinstance(answer[0], dict):
            what = "it must give a pair, a dict of the parameters' gradients and the gradient of the input"
            raise ModelError(f"{self.name}.backward gives {type(answer).__name__}; {what}")
        gradients, at_input = answer
        own = self._flat(gradients, "backward", upstream.dtype)
        self.sums = own if self.sums is None else self.numpy.add(self.sums, own, out=self.sums)
        return self._array(at_input, "backward")

    def end_sums(self) -> list[Any]:
        return [array for _, array in self.split(self.sums)]

    def _initial(self, seed: int) -> dict[str, Any]:
        with self.users("initial"):
            given = self.module.initial(self.numpy.random.default_rng(seed))
        if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
            raise ModelError(f"{self.name}.initial gives {type(given).__name__}; it must give a dict of arrays by name")
        return {name: self._array(array, f"initial[{name!r}]") for name, array in given.items()}

    def _array(self, given: Any, method: str) -> Any:
        with self.users(method):
            array = self.numpy.asarray(given)
        if array.dtype.kind != "f":
            raise ModelError(f"{self.name}.{method} gives {array.dtype}; it must give floats")
        return array

    def _flat(self, arrays: dict[str, Any], method: str, dtype: Any) -> Any:
        """Arrays of the parameters' shapes, side by side in their order."""
        names = [name for name, _ in self.parameters]
        if sorted(arrays) != names:
            raise ModelError(f"{self.name}.{method} gives {', '.join(sorted(arrays))}; the parameters are {', '.join(names)}")
        flat = []
        for name, shape in self.parameters:
            array = self._array(arrays[name], method)
            if list(array.shape) != shape:
                raise ModelError(f"{self.name}.{method} gives {name} as {list(array.shape)}; it must be {shape}")
            flat.append(array.astype(dtype, copy=False).ravel())
        return self.numpy.concatenate(flat)
