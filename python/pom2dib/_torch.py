"""Networks in PyTorch. Imported by who uses one: torch is an optional package."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import torch

from ._models import Adapter
from ._users import ModelError


class Module(torch.nn.Module):
    """A network in PyTorch: a ``torch.nn.Module`` that is made with the shape of a sample and the number of values to give of one.

    ``forward`` maps rows of samples [n, *shape] to [n, out], and autograd does the rest. Parameters belong to the run, which
    steps, saves and restores them; buffers are constants. torch's generators are seeded from an address before every call.
    """

    def __init__(self, shape: tuple[int, ...], out: int) -> None:
        """A network from rows of samples [n, *shape] to [n, out]. Layers are made behind ``super().__init__(shape, out)``."""
        super().__init__()
        self.shape = tuple(shape)
        self.out = out

    def optimizer(self) -> torch.optim.Optimizer | None:
        """The optimizer of PyTorch that steps this network, over ``self.parameters()``; ``None``: the run's AdamW steps it."""
        return None


def seed_generators(numpy: Any, seed: int) -> None:
    """Seeds all generators of the process: PyTorch's own layers draw from its generator, a user's code maybe from the others."""
    torch.manual_seed(seed)
    numpy.random.seed(seed % 2**32)
    random.seed(seed)


@dataclass
class Constant:
    """A tensor of a network that does not learn, and what it was when the network was made."""

    name: str
    tensor: Any
    version: int
    before: Any


class TorchAdapter(Adapter):
    """A network of a class that derives from ``Module``."""

    def __init__(self, *given: Any) -> None:
        *others, threads = given
        super().__init__(*others)
        self.threads = threads
        self.libraries = [f"torch {torch.__version__}"]
        self.module: Any = None
        self.optimizer: Any = None
        self.learning: list[Any] = []
        self.constants: list[Constant] = []

    def set_up(self) -> None:
        torch.set_num_threads(self.threads)
        self.module = self._make(0)
        learning = self._learning(self.module)
        self.note({name: parameter.shape for name, parameter in learning.items()})
        self.learning = [learning[name] for name, _ in self.parameters]
        self._note_constants()
        self.optimizer = self._make_optimizer()
        self.has_optimizer = self.optimizer is not None

    def seed(self, seed: int) -> None:
        seed_generators(self.numpy, seed)

    def fresh(self, seed: int) -> Any:
        made = self._learning(self._make(seed))
        return self._side_by_side([made[name] for name, _ in self.parameters]).astype(self.numpy.float32, copy=False)

    def take(self, values: Any) -> None:
        dtype = torch.float64 if values.dtype == self.numpy.float64 else torch.float32
        if self.learning[0].dtype != dtype:
            # Where gradients are checked, in double precision.
            self.module.to(dtype)
            self._note_constants()
        # Not as autograd sees it: what was recorded of earlier blocks of this round stays valid, with the same values.
        for parameter, (_, array) in zip(self.learning, self.split(torch.from_numpy(values.copy() if not values.flags.writeable else values))):
            parameter.data.copy_(array)

    def block_forward(self, x: Any, training: bool) -> tuple[Any, Any]:
        rows = torch.from_numpy(x if x.flags.writeable else x.copy())
        self.module.train(training)
        with self.users("forward"), torch.set_grad_enabled(training):
            output = self.module(rows.requires_grad_(training))
        if not isinstance(output, torch.Tensor):
            raise ModelError(f"{self.name}.forward gives {type(output).__name__}; it must give a tensor [n, {self.outputs}]")
        if not output.dtype.is_floating_point:
            raise ModelError(f"{self.name}.forward gives {output.dtype}; it must give floats")
        self._check_constants()
        return output.detach().cpu().numpy(), (rows, output)

    def block_backward(self, kept: Any, upstream: Any, to_input: bool) -> tuple[Any, Any]:
        rows, output = kept
        if not output.requires_grad:
            raise ModelError(f"{self.name}: no gradient comes through its forward: something in it leaves autograd, such as detach or numpy")
        wanted = [*self.learning, rows] if to_input else self.learning
        upstream = torch.from_numpy(self.numpy.array(upstream, copy=True)).to(output.dtype)
        with self.users("backward"):
            gradients = list(torch.autograd.grad(output, wanted, upstream, allow_unused=True))
        at_input = gradients.pop() if to_input else None
        if to_input and at_input is None:
            at_input = torch.zeros_like(rows)
        zeros = [torch.zeros_like(parameter) if found is None else found for parameter, found in zip(self.learning, gradients)]
        return self._side_by_side(zeros), None if at_input is None else at_input.numpy()

    def step(self, values: bytearray, gradients: bytearray) -> bytes:
        """What learns behind one step of the class's own optimizer: float32, side by side. Called by Rust, as are the next two."""
        self.take(self.numpy.frombuffer(values, self.numpy.float32))
        gradient = torch.from_numpy(self.numpy.frombuffer(gradients, self.numpy.float32))
        for parameter, (_, own) in zip(self.learning, self.split(gradient)):
            parameter.grad = own
        with self.users("optimizer"):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        stepped = self._side_by_side(self.learning)
        if not self.numpy.isfinite(stepped.sum()):
            for name, array in self.split(stepped):
                self.refuse_infinite(f"{self.name}: its optimizer gives {name}", array, "")
        made: bytes = stepped.tobytes()
        return made

    def optimizer_state(self) -> list[tuple[str, list[int] | None, bytes]]:
        """What the optimizer remembers of each parameter, as (name, shape, float32), or of a number as (name, None, float64)."""
        state: list[tuple[str, list[int] | None, bytes]] = []
        for (name, _), parameter in zip(self.parameters, self.learning):
            for key, value in sorted(self.optimizer.state.get(parameter, {}).items()):
                piece = f"{name}/{key}"
                if isinstance(value, torch.Tensor) and value.dtype == torch.float32:
                    state.append((piece, list(value.shape), value.detach().cpu().contiguous().numpy().tobytes()))
                elif isinstance(value, (int, float)):
                    state.append((piece, None, self.numpy.float64(value).tobytes()))
                elif value is not None:
                    kind = value.dtype if isinstance(value, torch.Tensor) else type(value).__name__
                    raise ModelError(f"{self.name}: its optimizer remembers {key} of {name} as {kind}; only float32 and numbers go into checkpoints")
        return state

    def restore_optimizer(self, state: list[tuple[str, list[int] | None, bytearray]]) -> None:
        """Puts a state of before in the place of the optimizer's."""
        self.optimizer = self._make_optimizer()
        learning = {name: parameter for (name, _), parameter in zip(self.parameters, self.learning)}
        for piece, shape, content in state:
            name, _, key = piece.rpartition("/")
            if name not in learning:
                raise ModelError(f"{self.name}: the checkpoint has {key} of a parameter {name}, which the network has not")
            array = self.numpy.frombuffer(content, self.numpy.float64 if shape is None else self.numpy.float32)
            self.refuse_infinite(f"{self.name}: the checkpoint's {key} of {name} has", array, "")
            value = torch.from_numpy(array.reshape(shape).copy()) if shape is not None else _number(float(array[0]))
            self.optimizer.state[learning[name]][key] = value

    def _make_optimizer(self) -> Any:
        """The optimizer that the class brings along, if it does."""
        with self.users("optimizer"):
            made = self.module.optimizer()
        if made is None:
            return None
        if not isinstance(made, torch.optim.Optimizer):
            raise ModelError(f"{self.name}.optimizer gives {type(made).__name__}; it must give a torch.optim.Optimizer, or None")
        stepped = {id(parameter) for group in made.param_groups for parameter in group["params"]}
        left_out = [name for (name, _), parameter in zip(self.parameters, self.learning) if id(parameter) not in stepped]
        if left_out:
            raise ModelError(f"{self.name}.optimizer leaves out {', '.join(left_out[:4])}: give it self.parameters()")
        return made

    def try_out(self) -> None:
        super().try_out()
        # Weight decay would go on all the same.
        x = torch.zeros(1, *self.shape)
        with self.users("forward"):
            output = self.module.train()(x)
        found = torch.autograd.grad(output.sum(), self.learning, allow_unused=True)
        unused = [name for (name, _), gradient in zip(self.parameters, found) if gradient is None]
        if unused:
            raise ModelError(
                f"{self.name}: no gradient comes to {', '.join(unused[:4])}: use it in forward, or say requires_grad_(False) if it is a constant"
            )
        self._check_constants()

    def _make(self, seed: int) -> Any:
        """A network as its class makes it, under generators with a seed."""
        self.seed(seed)
        with self.users("__init__"):
            made = self.of(self.shape, self.outputs, **self.keys)
        if not isinstance(made, torch.nn.Module) or not hasattr(made, "_parameters"):
            raise ModelError(f"{self.name}.__init__ must call super().__init__(shape, out) first")
        return made.float()

    def _learning(self, module: Any) -> dict[str, Any]:
        return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}

    def _note_constants(self) -> None:
        """Buffers, and parameters that do not learn: they follow from the class, and are not saved."""
        frozen = [(name, value) for name, value in self.module.named_parameters() if not value.requires_grad]
        constants = [*frozen, *self.module.named_buffers()]
        self.constants = [Constant(name, value, value._version, value.detach().clone()) for name, value in constants]

    def _check_constants(self) -> None:
        for constant in self.constants:
            now = self._now(constant.name)
            # Whatever is written to a tensor counts its version up.
            if now is constant.tensor and now._version == constant.version:
                continue
            if now is None or now.shape != constant.before.shape or not torch.equal(now, constant.before):
                raise ModelError(
                    f"{self.name}: buffer {constant.name} changes in a pass; only parameters are saved and restored, so use layers without "
                    "running statistics (LayerNorm or GroupNorm for BatchNorm)"
                )
            constant.tensor, constant.version = now, now._version

    def _now(self, name: str) -> Any:
        *path, last = name.split(".")
        holder = self.module
        for step in path:
            holder = getattr(holder, step, None)
        return getattr(holder, last, None)

    def _side_by_side(self, tensors: list[Any]) -> Any:
        return torch.cat([tensor.detach().reshape(-1) for tensor in tensors]).cpu().numpy()


def _number(value: float) -> int | float:
    return int(value) if value.is_integer() else value
