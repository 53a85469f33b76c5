"""Training steps in eager PyTorch as a competent user would write them, for comparisons of speed.

Each takes a batch and returns the loss. IdRank's is the published way: in every step a frozen
IdGen draws 100 candidates for each picture by all 1000 DDPM steps (Ho et al. 2020, algorithm 2),
and the ranker learns from them by the listwise softmax loss (Cao et al. 2007).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.torch_networks import Denoiser, Ranker

STEPS = 1000
IDGEN = {"dims": (300, 50, 10), "context_dim": 512}  # whose context is ArcFace's
EXPGEN = {"dims": (53, 25, 10), "context_dim": 1024}


def optimizer(net: torch.nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """The published AdamW, in the fastest form that eager PyTorch has: all arrays in one call."""
    return torch.optim.AdamW(net.parameters(), learning_rate, weight_decay=1e-4, fused=True)


class Diffusion:
    """The tables of the published noise schedule."""

    def __init__(self) -> None:
        self.betas = torch.linspace(1e-4, 1e-2, STEPS)
        self.alpha_bar = torch.cumprod(1 - self.betas, dim=0)

    def noised(self, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """x0 [B, D] at the steps t [B]."""
        kept = self.alpha_bar[t][:, None]
        return kept.sqrt() * x0 + (1 - kept).sqrt() * eps

    @torch.no_grad()
    def sample(self, net: Denoiser, context: Tensor, size: int, steps: int = STEPS) -> Tensor:
        """Draws [N, size] for contexts [N, C]; fewer `steps` stop before the end, to be timed."""
        x = torch.randn(len(context), size)
        for step in range(STEPS - 1, STEPS - 1 - steps, -1):
            eps = net(x, torch.full((len(x),), step), context)
            beta, kept = self.betas[step], self.alpha_bar[step]
            x = (x - beta / (1 - kept).sqrt() * eps) / (1 - beta).sqrt()
            if step:
                before = self.alpha_bar[step - 1]
                x = x + (beta * (1 - before) / (1 - kept)).sqrt() * torch.randn_like(x)
        return x


class DenoiserStep:
    """IdGen's or ExpGen's step: mean absolute error of the noise, at a random step of each example.

    Args:
      sizes: IDGEN or EXPGEN.
    """

    def __init__(self, sizes: Mapping[str, Any]) -> None:
        self.net, self.diffusion = Denoiser(**sizes), Diffusion()
        self.optimizer = optimizer(self.net, 1e-3)

    def __call__(self, x0: Tensor, context: Tensor) -> float:
        """One step on coefficients [B, D], given what the encoders say of each [B, C]."""
        t, eps = torch.randint(STEPS, (len(x0),)), torch.randn_like(x0)
        loss = (self.net(self.diffusion.noised(x0, t, eps), t, context) - eps).abs().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


class IdRankStep:
    """The published step: candidates, their front-face vertices (mm) and errors, then the ranker.

    Args:
      constants: of our task: template [R, 3] and directions [R, 3, S], mm.
      count: candidates a picture.
    """

    def __init__(self, constants: Mapping[str, np.ndarray], count: int = 100) -> None:
        self.template, self.directions = (
            torch.from_numpy(constants[name]) for name in ("template", "directions")
        )
        self.count, self.diffusion = count, Diffusion()
        self.idgen = Denoiser(**IDGEN).requires_grad_(False).eval()
        self.ranker = Ranker(vertices=len(self.template))
        self.optimizer = optimizer(self.ranker, 1e-6)

    def candidates(self, context: Tensor, steps: int = STEPS) -> Tensor:
        """Shapes [B, K, 300] for contexts [B, 1024], of which the last 512, ArcFace's, are IdGen's;
        fewer `steps` as in `Diffusion.sample`."""
        rows = context[:, -IDGEN["context_dim"] :].repeat_interleave(self.count, dim=0)
        drawn = self.diffusion.sample(self.idgen, rows, IDGEN["dims"][0], steps)
        return drawn.unflatten(0, (len(context), self.count))

    def vertices(self, shapes: Tensor) -> Tensor:
        """[..., S] to [..., R, 3]."""
        moved = shapes @ self.directions.flatten(0, 1).T
        return self.template + moved.unflatten(-1, (-1, 3))

    def learn(self, shape: Tensor, context: Tensor, candidates: Tensor) -> float:
        """The ranker's step on given candidates."""
        with torch.no_grad():
            points = self.vertices(candidates)
            errors = (points - self.vertices(shape)[:, None]).abs().mean(dim=(-2, -1))
            target = (-errors).softmax(dim=-1)
        scores = self.ranker(points, context)
        loss = -(target * scores.log_softmax(dim=-1)).sum(dim=-1).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def __call__(self, shape: Tensor, context: Tensor) -> float:
        """One step on true shapes [B, 300], given contexts [B, 1024]."""
        return self.learn(shape, context, self.candidates(context))
