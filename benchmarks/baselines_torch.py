"""The same tagger and loop in PyTorch, eager and compiled.

Attention is `scaled_dot_product_attention` and dropout acts on the two branches of a
layer, as in `jetlab.models`. `nn.TransformerEncoderLayer` also drops attention weights
and hidden units, which takes it off PyTorch's fused attention: 1.4 to 2.5 times slower
on a CPU, so it would be the easier opponent. Where JAX runs on a GPU so does PyTorch.
"""

# pyright: reportMissingImports=false
# PyTorch is an extra that the checks do without
import os
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.baselines import LEARNING_RATE, WEIGHT_DECAY, Baseline, PaddedJets
from jetlab.models import flops, scaling
from jetlab.models.tagger import Tagger


class Layer(nn.Module):
    """Pre-norm Transformer layer with dropout on each branch."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_forward = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Tokens (b, t, d); mask (b, 1, 1, t), True where a token is real."""
        branch = self.attend(self.norm_attention(tokens), mask)
        tokens = tokens + self.dropout(branch)
        branch = self.down(F.gelu(self.up(self.norm_forward(tokens))))
        return tokens + self.dropout(branch)

    def attend(self, x: Tensor, mask: Tensor) -> Tensor:
        by_head = self.query_key_value(x).unflatten(-1, (3, self.heads, -1))
        query, key, value = by_head.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.out(mixed.transpose(1, 2).flatten(2))


class SetTransformer(nn.Module):
    """The tagger; every layer updates every token."""

    def __init__(self, config: Tagger):
        super().__init__()
        width = config.width
        self.embed = nn.Linear(config.features, width)
        self.class_token = nn.Parameter(0.02 * torch.randn(width))
        self.layers = nn.ModuleList(
            Layer(width, config.heads, config.dropout) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.classes)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Logits (b, k) of particles (b, p, f) with a mask (b, p)."""
        token = self.class_token.expand(len(x), 1, -1)
        tokens = torch.cat([token, self.embed(x)], dim=1)
        mask = F.pad(mask, (1, 0), value=True)[:, None, None, :]
        for layer in self.layers:
            tokens = layer(tokens, mask)
        return self.head(self.norm(tokens[:, 0]))


class State(NamedTuple):
    """What a step changes in place. `forward` is the model, compiled or not."""

    model: SetTransformer
    forward: Callable[[Tensor, Tensor], Tensor]
    optimizer: torch.optim.Optimizer


def torch_eager(
    width: int, *, cropped: bool = False, dropout: float = 0.01
) -> Baseline:
    """PyTorch as it is, on padded jets or on batches cropped to their longest jet."""
    return _baseline(width, dropout, cropped=cropped, compiled=False)


def torch_compiled(width: int, *, dropout: float = 0.01) -> Baseline:
    """`torch.compile` of the model on padded jets; on a CPU it needs a C++ compiler."""
    return _baseline(width, dropout, cropped=False, compiled=True)


def _baseline(width: int, dropout: float, *, cropped: bool, compiled: bool) -> Baseline:
    config = replace(scaling.tagger(width), dropout=dropout)
    device = device_like_jax()

    def load(jets: PaddedJets) -> tuple[Tensor, ...]:
        # cropping is the work of a collate function, so it is not on the clock
        longest = int(np.sum(jets.mask, axis=1).max()) if cropped else jets.x.shape[1]
        columns = jets.x[:, :longest], jets.mask[:, :longest], jets.y.astype(np.int64)
        return tuple(torch.tensor(np.asarray(c), device=device) for c in columns)

    def init() -> State:
        torch.manual_seed(0)
        model = SetTransformer(config).to(device)
        sizes = (parameter.numel() for parameter in model.parameters())
        assert sum(sizes) == flops.parameters(config).total
        optimizer = torch.optim.AdamW(
            model.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True
        )
        forward = torch.compile(model) if compiled else model
        return State(model, forward, optimizer)

    def wait(state: State) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    return Baseline(load, init, step, wait)


def step(state: State, batch: tuple[Tensor, Tensor, Tensor]) -> State:
    """One step of AdamW on the cross-entropy."""
    x, mask, y = batch
    state.optimizer.zero_grad()
    F.cross_entropy(state.forward(x, mask), y).backward()
    state.optimizer.step()
    return state


def device_like_jax() -> torch.device:
    """The kind of device that JAX computes on.

    Raises:
      RuntimeError: where JAX uses an accelerator that this PyTorch cannot.
    """
    backend = jax.default_backend()
    if backend == "cpu":
        return torch.device("cpu")
    if backend == "gpu" and torch.cuda.is_available():
        return torch.device("cuda")
    raise RuntimeError(
        f"JAX runs on {backend} and this PyTorch cannot: install a PyTorch that can, "
        "or set JAX_PLATFORMS=cpu"
    )


def use_all_cores() -> int:
    """As many threads for PyTorch as JAX takes: the cores that the process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # only Linux has it
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    torch.set_num_threads(cores)
    return cores
