"""The published encoders, frozen: aligned crops to the features that a network may be trained on.

    found = encoders.read({"arcface": "backbone.pth", "farl": "FaRL-Base-Patch16.pth"})
    rows = found[0](crops)  # uint8 RGB [N, 112, 112, 3] -> float32 [N, 512]

What they give is what `tasks.conditioning` makes of the same crops and weights: ArcFace's embedding
has length 1, FaRL's any. The weights are the user's own files, read by `importers`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ofer_jax import convert, importers
from ofer_jax.arrays import Float, UInt8
from ofer_jax.importers import files
from ofer_jax.models import FaRL, farl_input
from ofer_jax.tasks import conditioning

CROPS = {"arcface": "crop_112", "farl": "crop_224"}  # what each encoder sees
BATCH = 32  # pictures at once: 0.2 GB of ArcFace's largest layer
_HEAD = 64  # channels of an attention head of every CLIP tower


@dataclasses.dataclass(frozen=True, eq=False)
class Encoder:
    """A frozen network: its name (of CROPS), what it is built of, the file of its weights."""

    name: str
    settings: dict[str, Any]
    file: str
    sha256: str
    variables: Any = dataclasses.field(repr=False)

    @property
    def width(self) -> int:
        """The number of features of a picture."""
        return self.settings["out_dim"]

    @property
    def identity(self) -> dict[str, Any]:
        """What there is to tell of it, without the folder of its file."""
        return {"file": self.file, "sha256": self.sha256, "settings": self.settings}

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of its weights' file and settings: features with another do not mix."""
        text = json.dumps([self.name, self.sha256, self.settings], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def __call__(self, crops: UInt8[np.ndarray, "N H W 3"]) -> Float[np.ndarray, "N F"]:
        """Features of any number of crops, RGB; worked out in batches of one size, so that a row
        does not depend on how many there are."""
        rows = list(self._batches(crops))
        return np.concatenate(rows) if rows else np.zeros((0, self.width), np.float32)

    def _batches(self, crops: np.ndarray) -> Iterator[np.ndarray]:
        for start in range(0, len(crops), BATCH):
            batch = crops[start : start + BATCH]
            full = np.zeros((BATCH, *crops.shape[1:]), np.uint8)
            full[: len(batch)] = batch
            yield np.asarray(self._run(self._weights, full))[: len(batch)]

    @functools.cached_property
    def _weights(self) -> Any:
        return jax.device_put(self.variables)

    @functools.cached_property
    def _run(self) -> Callable[[Any, np.ndarray], jax.Array]:
        embed = _face if self.name == "farl" else _identity

        @jax.jit
        def run(variables: Any, crops: jax.Array) -> jax.Array:
            with jax.default_matmul_precision("highest"):  # kept for good, so never rounded
                return embed(self.settings, variables, crops)

        return run


def read(paths: Mapping[str, str | Path | None]) -> list[Encoder]:
    """The encoders of the users' files, by name.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: one line, for an encoder without a file, or a file that holds none of that kind.
    """
    if bare := [name for name, path in paths.items() if not path]:
        raise ValueError(f"features {bare[0]!r} need the weights of that encoder: --{bare[0]} FILE")
    return [_read(name, Path(str(path))) for name, path in paths.items()]


def _read(name: str, path: Path) -> Encoder:
    found = importers.read(path)
    with files.named(path):
        if name not in found.states:
            raise ValueError(f"this is {files.TITLES[found.kind]}, which holds no {name}")
        state = found.states[name]
        if name == "farl":
            settings = _farl_sizes(state)
            variables = convert.farl(state, {"layers": settings["depth"]})
        else:
            settings = _arcface_sizes(state)
            variables = convert.arcface(state, {"layers": settings["blocks"]})
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Encoder(name, settings, path.name, digest, variables)


def _arcface_sizes(state: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the IResNet that a state dict holds, of any depth."""
    last = _counts(state, r"layer(\d)\.(\d+)\.conv1\.weight")
    sizes = {"blocks": [last.get(str(stage), 0) for stage in range(1, 5)]}
    if {"conv1.weight", "fc.weight"} <= state.keys():
        sizes |= {"width": len(state["conv1.weight"]), "out_dim": len(state["fc.weight"])}
    return {"channels": "rgb", "last_norm": True, "width": 64, "out_dim": 512, **sizes}


def _farl_sizes(state: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the image tower that a CLIP model's state dict holds."""
    depth = _counts(state, r"visual\.transformer\.(resblocks)\.(\d+)\.ln_1\.weight")
    sizes = {"depth": depth.get("resblocks", 0), "width": 768, "patch": 16, "out_dim": 512}
    if {"visual.conv1.weight", "visual.proj"} <= state.keys():
        width, _, _, patch = np.shape(state["visual.conv1.weight"])
        sizes |= {"width": width, "patch": patch, "out_dim": np.shape(state["visual.proj"])[1]}
    return {**sizes, "heads": sizes["width"] // _HEAD}


def _counts(state: Mapping[str, Any], pattern: str) -> dict[str, int]:
    """How many numbered blocks (second group) each stage (first group) has."""
    found: dict[str, int] = {}
    for match in filter(None, (re.fullmatch(pattern, key) for key in state)):
        found[match[1]] = max(found.get(match[1], 0), int(match[2]) + 1)
    return found


def _identity(settings: dict[str, Any], variables: Any, crops: jax.Array) -> jax.Array:
    config = {"encoder": {"name": "arcface", **settings}}
    return conditioning.encode(config, {"arcface": variables}, {"crop_112": crops})


def _face(settings: dict[str, Any], variables: Any, crops: jax.Array) -> jax.Array:
    return FaRL.from_config(settings).apply(variables, farl_input(crops))
