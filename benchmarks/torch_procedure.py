"""The published procedure for one photograph's crops in eager PyTorch, for comparisons of speed.

IdGen and ExpGen see 100 identical copies of the crops, IdRank one: 201 passes of ArcFace, 101 of
FaRL. Then 251 evaluations of IdGen on 100 samples (its "DDIM", see `ofer_jax.diffusion.samplers`),
100 meshes, their scores, 1000 steps of DDPM on 100 samples of ExpGen, and 100 meshes of the best
shape, of which 15 are kept. The *fair* variant encodes one copy for each network and is the same
in all else. Both are written as a competent user would: `inference_mode`, whole batches,
convolutions with the channels last.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import torch_encoders as encoders
from benchmarks.torch_flame import Flame
from benchmarks.torch_networks import Denoiser, Ranker
from benchmarks.torch_training import STEPS, Diffusion
from ofer_jax.flame import FlameModel

KEPT = 15


class Laps:
    """Seconds of each stage, which may come in parts, and the processor's seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.worked: dict[str, float] = {}
        self.begun, self.own = time.perf_counter(), time.process_time()

    def __call__(self, stage: str) -> None:
        """The time since the last call was this stage's."""
        now, own = time.perf_counter(), time.process_time()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self.begun
        self.worked[stage] = self.worked.get(stage, 0.0) + own - self.own
        self.begun, self.own = now, own


class Procedure:
    """The published networks with random weights, and a head.

    Args:
      tasks: configs of 'idgen', 'idrank' and 'expgen', as `ofer_jax.published.tasks` makes them.
      head: FLAME, or a head of its size.
      front: numbers of the vertices that the ranker sees.
    """

    count = 100  # copies of the crops, and samples of each network
    visited = range(STEPS - 1, -2, -4)  # steps of the published DDIM: 251
    steps = STEPS  # of DDPM

    def __init__(
        self, tasks: Mapping[str, Any], head: FlameModel, front: Sequence[int] | np.ndarray
    ) -> None:
        self.nets = {name: networks(name, tasks[name], len(front)) for name in tasks}
        self.flame, self.front = Flame(head), torch.tensor(np.asarray(front, np.int64))
        self.diffusion = Diffusion()

    @torch.inference_mode()
    def run(self, crops: Mapping[str, Tensor]) -> Laps:
        """Crops, uint8 [1, H, W, 3], to 100 scored shapes and the meshes of 15 expressions.

        Returns what each stage took: encode, sample, mesh, rank, express."""
        laps = Laps()
        contexts = self.encode(crops, self.count)
        laps("encode")
        shapes = self.sample(contexts["idgen"], self.count, self.visited)
        laps("sample")
        candidates = self.flame(shape=shapes)
        laps("mesh")
        scores = self.scores(candidates, contexts["idrank"])
        best = shapes[scores.argmax()].expand_as(shapes)
        laps("rank")
        expression = self.express(contexts["expgen"], self.count, self.steps)
        laps("express")
        posed = self.flame(shape=best, expression=expression[:, :-3], jaw=expression[:, -3:])
        posed[:KEPT].numpy()
        laps("mesh")
        return laps

    @torch.inference_mode()
    def encode(self, crops: Mapping[str, Tensor], copies: int) -> dict[str, Tensor]:
        """What each network is told: [copies, C]; IdRank's is [1, C]."""
        found = {}
        for name, nets in self.nets.items():
            count = 1 if name == "idrank" else copies
            images = {key: crop.repeat(count, 1, 1, 1) for key, crop in crops.items()}
            identity = F.normalize(nets["arcface"](encoders.arcface_input(images["crop_112"])))
            parts = [identity]
            if "farl" in nets:
                parts.insert(0, nets["farl"](encoders.farl_input(images["crop_224"])))
            found[name] = torch.cat(parts, dim=-1)
        return found

    @torch.inference_mode()
    def sample(self, context: Tensor, count: int, visited: Sequence[int]) -> Tensor:
        """IdGen's shapes [count, 300]; a part of the steps `visited` stops early, to be timed."""
        net, bar = self.nets["idgen"]["net"], self.diffusion.alpha_bar
        keep, noise = bar.sqrt(), (1 - bar).sqrt()
        context = context.expand(count, -1)
        x = torch.randn(count, net.dim)
        for t in visited:  # the last, -1, reads the tables' last row, as published
            eps = net(x, torch.full((count,), t), context)
            x0 = (x - noise[t] * eps) / keep[t]
            x = keep[t - 1] * x0 + noise[t - 1] * eps
        return x

    @torch.inference_mode()
    def express(self, context: Tensor, count: int, steps: int) -> Tensor:
        """ExpGen's expressions and jaws [count, 53]; fewer `steps` stop early, to be timed."""
        net = self.nets["expgen"]["net"]
        return self.diffusion.sample(net, context.expand(count, -1), net.dim, steps)

    @torch.inference_mode()
    def scores(self, vertices: Tensor, context: Tensor) -> Tensor:
        """IdRank's scores [K] of meshes [K, V, 3], metres."""
        return self.nets["idrank"]["net"](1e3 * vertices[None, :, self.front], context)[0]

    def state(self, task: str, part: str) -> dict[str, np.ndarray]:
        """A network's state dict, of the published names."""
        return {k: v.numpy() for k, v in self.nets[task][part].state_dict().items()}

    def share_trunk(self) -> None:
        """Gives all ArcFaces the same first layers and stages 1 to 3, as training leaves them."""
        first, *others = (nets["arcface"] for nets in self.nets.values())
        trunk = {k: v for k, v in first.state_dict().items() if k.startswith(TRUNK)}
        for other in others:
            other.load_state_dict(trunk, strict=False)


TRUNK = ("conv1.", "bn1.", "prelu.", "layer1.", "layer2.", "layer3.")


def networks(task: str, config: Mapping[str, Any], front: int) -> nn.ModuleDict:
    """A task's encoders 'arcface' and 'farl' (IdGen has none), and its 'net'."""
    encoder, net = config["encoder"], config["net"]
    arcface = encoders.ArcFace(encoder["blocks"]).to(memory_format=torch.channels_last)
    parts: dict[str, nn.Module] = {"arcface": arcface}
    if "farl" in encoder:
        parts["farl"] = encoders.FaRL(layers=encoder["farl"]["depth"])
    if task == "idrank":
        parts["net"] = Ranker(front, config["context_dim"], net["hidden"])
    else:
        parts["net"] = tamed(Denoiser(net["widths"], net["context_dim"]))
    return nn.ModuleDict(parts).eval().requires_grad_(False)


def tamed(net: Denoiser) -> Denoiser:
    """Nearly x itself for the noise in x, whose samples stay of the size of real ones: a random
    network's own grow twelvefold, and what comes after would look at monsters."""
    with torch.no_grad():
        for layer in (net.init_conv, net.finals[0][2]):
            layer.weight.copy_(torch.eye(net.dim)[..., None])
        skip = net.finals[0][0].res_conv.weight
        skip.copy_(torch.cat([torch.zeros(net.dim, net.dim), torch.eye(net.dim)], 1)[..., None])
    return net
