"""Networks in PyTorch. Imported by who uses one: torch is an optional package."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from typing import Any

import torch

from ._models import TRIED, Adapter
from ._users import ModelError


class Module(torch.nn.Module):
    """A network in PyTorch: a ``torch.nn.Module`` that is made with the shape of a sample and the number of values to give of one.

    ``forward`` maps rows of samples [n, *shape] to [n, out], and autograd does the rest. Parameters belong to the run, which
    steps, saves and restores them; buffers of the ``state_dict`` may change in passes of training, and are saved and restored with
    them. torch's generators are seeded from an address before every call.
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
    """Seeds all generators of the process: PyTorch's own layers draw from its generators, a user's code maybe from the others."""
    # Where no GPU is used, torch.manual_seed would note it for later with a traceback, which is slow.
    torch.default_generator.manual_seed(seed)
    cuda: Any = torch.cuda
    if cuda.is_initialized():
        cuda.manual_seed_all(seed)
    numpy.random.seed(seed % 2**32)
    random.seed(seed)


@dataclass
class Constant:
    """A tensor of a network that does not learn, and what it was when somebody last looked."""

    name: str
    tensor: Any
    version: int
    before: Any
    #: As what it goes into checkpoints: a buffer of the ``state_dict``, which passes of training may change. Else empty.
    stored: str


#: A buffer as Rust has it: its name, ``float32``, ``float64``, ``int64`` or ``uint8``, its shape and its numbers.
_Buffer = tuple[str, str, list[int], bytes]


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
        self.device = "cpu"
        self.first: dict[str, Any] = {}

    def set_up(self) -> None:
        torch.set_num_threads(self.threads)
        self.module = self._make(0)
        learning = self._learning(self.module)
        self.note({name: parameter.shape for name, parameter in learning.items()})
        self.learning = [learning[name] for name, _ in self.parameters]
        self._note_constants()
        # As they begin: to try the network out changes them.
        self.first = {buffer.name: buffer.before for buffer in self._buffers()}
        self.has_buffers = bool(self.first)
        self.optimizer = self._make_optimizer()
        self.has_optimizer = self.optimizer is not None

    def seed(self, seed: int) -> None:
        seed_generators(self.numpy, seed)

    def fresh(self, seed: int) -> Any:
        made = self._learning(self._make(seed))
        return self._side_by_side([made[name] for name, _ in self.parameters]).astype(self.numpy.float32, copy=False)

    def place(self, device: str) -> None:
        if device == self.device:
            return
        if not torch.cuda.is_available():
            print(f"{self.name} computes on the CPU: this torch, {torch.__version__}, finds no GPU", file=sys.stderr, flush=True)
            return
        self.module.to(device)
        self.device = device
        self._note_constants()
        self.optimizer = self._make_optimizer()

    def take(self, values: Any) -> None:
        dtype = torch.float64 if values.dtype == self.numpy.float64 else torch.float32
        if self.learning[0].dtype != dtype:
            # Where gradients are checked, in double precision.
            self.module.to(dtype)
            self._note_constants()
        # Not as autograd sees it: what was recorded of earlier blocks of this round stays valid, with the same values.
        for parameter, (_, array) in zip(self.learning, self.split(values)):
            if self.device == "cpu":
                # PyTorch would warn of memory that must not be written to.
                self.numpy.copyto(parameter.data.numpy(), array)
            else:
                parameter.data.copy_(torch.from_numpy(array.copy()))

    def block_forward(self, x: Any, training: bool) -> tuple[Any, Any]:
        rows = self._there(x)
        if not training:
            self._note_changed()
        self.module.train(training)
        with self.users("forward"), torch.set_grad_enabled(training):
            output = self.module(rows.requires_grad_(training))
        if not isinstance(output, torch.Tensor):
            raise ModelError(f"{self.name}.forward gives {type(output).__name__}; it must give a tensor [n, {self.outputs}]")
        if not output.dtype.is_floating_point:
            raise ModelError(f"{self.name}.forward gives {output.dtype}; it must give floats")
        self._check_constants(training)
        return output.detach().cpu().numpy(), (rows, output)

    def begin_sums(self, before: Any) -> None:
        # PyTorch adds to what is there, each gradient as soon as it has it.
        own = [None] * len(self.learning) if before is None else [self._there(array) for _, array in self.split(before)]
        for parameter, gradient in zip(self.learning, own):
            parameter.grad = gradient

    def block_backward(self, kept: Any, upstream: Any, to_input: bool) -> Any:
        rows, output = kept
        if not output.requires_grad:
            raise ModelError(f"{self.name}: no gradient comes through its forward: something in it leaves autograd, such as detach or numpy")
        wanted = [*self.learning, rows] if to_input else self.learning
        with self.users("backward"):
            torch.autograd.backward(output, self._there(upstream).to(output.dtype), inputs=wanted)
        if not to_input:
            return None
        return (torch.zeros_like(rows) if rows.grad is None else rows.grad).detach().cpu().numpy()

    def end_sums(self) -> list[Any]:
        found = [torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in self.learning]
        for parameter in self.learning:
            parameter.grad = None
        return [gradient.detach().cpu().numpy() for gradient in found]

    def step(self, values: bytes, gradients: bytearray) -> bytes:
        """What learns behind one step of the class's own optimizer: float32, side by side. Called by Rust, as are the next four."""
        self.take(self.numpy.frombuffer(values, self.numpy.float32))
        self.begin_sums(self.numpy.frombuffer(gradients, self.numpy.float32))
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
            value: Any = _number(float(array[0])) if shape is None else torch.from_numpy(array.reshape(shape).copy())
            if key != "step" and shape is not None:
                # Counts of steps stay on the CPU, as PyTorch makes them.
                value = value.to(self.device)
            self.optimizer.state[learning[name]][key] = value

    def buffers(self) -> list[_Buffer]:
        """The buffers that are saved, in order of name."""
        saved: list[_Buffer] = []
        for buffer in self._buffers():
            now, shape = self._now(buffer.name), list(self.first[buffer.name].shape)
            if not isinstance(now, torch.Tensor) or list(now.shape) != shape or _stored(now) != buffer.stored:
                what = f"{now.dtype} {list(now.shape)}" if isinstance(now, torch.Tensor) else type(now).__name__
                raise ModelError(f"{self.name}: buffer {buffer.name} has become {what}; it was made as {buffer.before.dtype} {shape}, and must stay so")
            array = now.detach().cpu().to(getattr(torch, buffer.stored)).contiguous().numpy()
            saved.append((buffer.name, buffer.stored, shape, array.tobytes()))
        return saved

    def restore_buffers(self, given: list[_Buffer]) -> None:
        """Puts buffers of before in the place of its own; what is not given begins again."""
        known = {buffer.name: buffer for buffer in self._buffers()}
        values = dict(self.first)
        for name, stored, shape, content in given:
            if name not in known:
                raise ModelError(f"{self.name}: the checkpoint has a buffer {name}, which the network has not")
            if (stored, shape) != (known[name].stored, list(known[name].before.shape)):
                wanted = f"{known[name].stored} {list(known[name].before.shape)}"
                raise ModelError(f"{self.name}: the checkpoint's buffer {name} is {stored} {shape}; the network's is {wanted}")
            values[name] = torch.from_numpy(self.numpy.frombuffer(content, stored).reshape(shape).copy())
        with torch.no_grad():
            for name, value in values.items():
                now = self._now(name)
                if not isinstance(now, torch.Tensor) or now.shape != value.shape:
                    raise ModelError(f"{self.name}: buffer {name} does not keep its shape, {list(value.shape)}: it cannot be put back")
                now.copy_(value)
        self._note_constants()

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
        x = torch.zeros(TRIED, *self.shape)
        with self.users("forward"):
            output = self.module.train()(x)
        found = torch.autograd.grad(output.sum(), self.learning, allow_unused=True)
        unused = [name for (name, _), gradient in zip(self.parameters, found) if gradient is None]
        if unused:
            raise ModelError(
                f"{self.name}: no gradient comes to {', '.join(unused[:4])}: use it in forward, or say requires_grad_(False) if it is a constant"
            )
        self._check_constants(True)
        self.restore_buffers([])

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
        """Notes what does not learn: buffers, and parameters that follow from the class and are not saved."""
        saved = self.module.state_dict(keep_vars=True)
        frozen = [(name, value, "") for name, value in self.module.named_parameters() if not value.requires_grad]
        buffers = [(name, value, _stored(value) if name in saved else "") for name, value in self.module.named_buffers()]
        self.constants = [
            Constant(name, value, value._version, value.detach().clone(), stored) for name, value, stored in sorted([*frozen, *buffers], key=_name)
        ]

    def _buffers(self) -> list[Constant]:
        """Those that are saved."""
        return [constant for constant in self.constants if constant.stored]

    def _note_changed(self) -> None:
        """Notes what passes of training have made of buffers."""
        for buffer in self._buffers():
            now = self._now(buffer.name)
            if isinstance(now, torch.Tensor) and not _is_as_noted(buffer, now):
                buffer.tensor, buffer.version, buffer.before = now, now._version, now.detach().clone()

    def _check_constants(self, training: bool) -> None:
        for constant in self.constants:
            if training and constant.stored:
                continue
            now = self._now(constant.name)
            if _is_as_noted(constant, now):
                continue
            if not isinstance(now, torch.Tensor) or now.shape != constant.before.shape or not torch.equal(now, constant.before):
                if constant.stored:
                    raise ModelError(f"{self.name}: buffer {constant.name} changes in a pass of evaluation, which must leave it as it is")
                what = "only buffers of the state_dict may, of floats, integers or bools, since these alone are saved and restored"
                raise ModelError(f"{self.name}: {constant.name} changes in a pass; {what}")
            constant.tensor, constant.version = now, now._version

    def _now(self, name: str) -> Any:
        *path, last = name.split(".")
        holder = self.module
        for step in path:
            holder = getattr(holder, step, None)
        return getattr(holder, last, None)

    def _side_by_side(self, tensors: list[Any]) -> Any:
        return torch.cat([tensor.detach().reshape(-1) for tensor in tensors]).cpu().numpy()


    def _there(self, array: Any) -> Any:
        """An array as a tensor where the network computes; on the CPU it is the array's own memory."""
        tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
        return tensor if self.device == "cpu" else tensor.to(self.device)


def _stored(tensor: Any) -> str:
    """As what a buffer goes into checkpoints, without loss; empty if it does not."""
    dtype = tensor.dtype
    if tensor.layout != torch.strided or tensor.is_quantized or dtype.is_complex:
        return ""
    if dtype.is_floating_point:
        return "float64" if dtype == torch.float64 else "float32"
    return "uint8" if dtype in (torch.bool, torch.uint8) else "int64"


def _is_as_noted(constant: Constant, now: Any) -> bool:
    """Whether nobody has written to it since: whatever is written to a tensor counts its version up."""
    return now is constant.tensor and now._version == constant.version


def _name(constant: tuple[str, Any, str]) -> str:
    return constant[0]


def _number(value: float) -> int | float:
    return int(value) if value.is_integer() else value
