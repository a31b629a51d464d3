"""Measure how long a host takes to launch one layer of a GPT in PyTorch: the prior of `host_us`.

    python -m tools.host_time       needs torch, which gpufleet itself does not

Tensors are so small that computing takes nothing: what is left is Python, dispatch and autograd. A GPU adds
about 28 launches of 5 to 6 us to a forward pass. The operations are those of Megatron-LM's layer with unfused
attention.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch  # type: ignore[import-not-found,unused-ignore]
import torch.nn.functional as fn  # type: ignore[import-not-found,unused-ignore]
from torch.utils.checkpoint import checkpoint  # type: ignore[import-not-found,unused-ignore]

_HIDDEN, _HEADS, _SEQ, _LAYERS, _REPEATS = 16, 2, 4, 8, 200


class _Product(torch.autograd.Function):  # type: ignore[misc,name-defined,unused-ignore]
    """A linear layer as Megatron-LM writes it, with its own backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any) -> Any:
        ctx.save_for_backward(x, weight)
        return torch.matmul(x, weight.t())

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        x, weight = ctx.saved_tensors
        flat = grad.view(-1, grad.shape[-1])
        return grad.matmul(weight), flat.t().matmul(x.view(-1, x.shape[-1]))


class _Layer(torch.nn.Module):  # type: ignore[misc,name-defined,unused-ignore]
    def __init__(self) -> None:
        super().__init__()
        h = _HIDDEN
        self.before, self.between = torch.nn.LayerNorm(h), torch.nn.LayerNorm(h)
        shapes = {"qkv": (3 * h, h), "out": (h, h), "up": (4 * h, h), "down": (h, 4 * h)}
        self.weights = torch.nn.ParameterDict({k: torch.randn(*v) * 0.02 for k, v in shapes.items()})
        self.biases = torch.nn.ParameterDict({k: torch.zeros(v[0]) for k, v in shapes.items()})

    def _linear(self, name: str, x: Any) -> Any:
        return _Product.apply(x, self.weights[name]) + self.biases[name]

    def forward(self, x: Any, mask: Any) -> Any:
        s, b, a, d = _SEQ, 1, _HEADS, _HIDDEN // _HEADS
        parts = self._linear("qkv", self.before(x)).view(s, b, a, 3 * d)
        q, k, v = (each.reshape(s, b * a, d) for each in torch.split(parts, d, -1))
        scores = torch.baddbmm(
            torch.empty(b * a, s, s),
            q.transpose(0, 1),
            k.transpose(0, 1).transpose(1, 2),
            beta=0.0,
            alpha=1 / math.sqrt(d),
        )
        shares = torch.softmax(scores.view(b, a, s, s).masked_fill(mask, -10000.0), -1)
        state = torch.get_rng_state()
        torch.set_rng_state(state)
        shares = fn.dropout(shares, 0.1).view(b * a, s, s)
        context = torch.bmm(shares, v.transpose(0, 1)).view(b, a, s, d)
        context = context.permute(2, 0, 1, 3).contiguous().view(s, b, _HIDDEN)
        x = x + fn.dropout(self._linear("out", context), 0.1)
        return x + fn.dropout(self._linear("down", fn.gelu(self._linear("up", self.between(x)))), 0.1)


def _seconds(work: Callable[[], Any]) -> float:
    """Seconds of the fastest of all: other work on the machine only adds."""
    took = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return min(took)


def main() -> None:
    """Print microseconds per layer: forward, and forward and backward, without and with recomputation."""
    torch.set_num_threads(1)
    layers = [_Layer() for _ in range(_LAYERS)]
    for layer in layers:
        for weight in layer.parameters():
            weight.grad = torch.zeros_like(weight)
            weight.register_hook(lambda grad: None)
    mask = torch.triu(torch.ones(_SEQ, _SEQ, dtype=torch.bool), 1)

    def forward(again: bool) -> Any:
        x = torch.randn(_SEQ, 1, _HIDDEN, requires_grad=True)
        for layer in layers:
            x = checkpoint(layer, x, mask, use_reentrant=True) if again else layer(x, mask)
        return x

    def step(again: bool) -> None:
        forward(again).sum().backward()

    for again in (False, True):
        each = _seconds(partial(forward, again)) / _LAYERS * 1e6
        both = _seconds(partial(step, again)) / _LAYERS * 1e6
        name = "computed again" if again else "kept"
        print(f"{name}: forward {each:.0f} us, with backward {both:.0f} us per layer")


if __name__ == "__main__":
    main()
