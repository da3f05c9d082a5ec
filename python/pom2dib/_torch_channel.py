"""Channels in PyTorch. Imported by who uses one: torch is an optional package."""

from __future__ import annotations

from typing import Any

import torch

from ._channel import ChannelAdapter, Crossing
from ._torch import seed_generators
from ._users import ModelError


class TorchChannelAdapter(ChannelAdapter):
    """A channel of a user's class whose way back autograd finds."""

    def __init__(self, of: type, source: str, keys: dict[str, Any], threads: int) -> None:
        torch.set_num_threads(threads)
        super().__init__(of, source, keys)
        self.libraries = [f"torch {torch.__version__}"]

    def seed(self, seed: int) -> None:
        super().seed(seed)
        seed_generators(self.numpy, seed)

    def arrived(self, crossing: Crossing, z: Any) -> Any:
        with torch.no_grad():
            return self._send(crossing, torch.from_numpy(z)).numpy()

    def pulled_back(self, crossing: Crossing, z: Any, gradient: Any) -> Any:
        sent = torch.from_numpy(z).requires_grad_()
        with torch.enable_grad():
            arrived = self._send(crossing, sent)
        if not arrived.requires_grad:
            raise ModelError(
                f"{self.name}: no gradient comes through its send: something in it leaves autograd, such as detach or numpy; "
                "or write pull_back(crossing, z, gradient)"
            )
        with self.users("send"):
            (found,) = torch.autograd.grad(arrived, [sent], torch.from_numpy(gradient).to(arrived.dtype))
        return found.numpy()

    def _send(self, crossing: Crossing, z: Any) -> Any:
        with self.users("send"):
            arrived = self.channel.send(crossing, z)
        if not isinstance(arrived, torch.Tensor):
            raise ModelError(f"{self.name}.send gives {type(arrived).__name__}; without pull_back it must give a tensor, as it is given one")
        return arrived.cpu()
