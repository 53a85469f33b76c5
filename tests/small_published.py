"""The published networks with small encoders and a small ranker, and files of them."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ofer_jax import published as program
from tests import published, torchfiles

BLOCKS, DEPTH, HIDDEN = [1, 1, 1, 1], 1, [16, 8]
OFER = ("idgen", "idrank", "expgen")
DENOISERS = {"idgen": "denoiser_idgen", "expgen": "denoiser_expgen"}


def shrink(replace: Callable[[Any, str, Any], None] = setattr) -> None:
    """Makes the published configs of this size; `replace` may be monkeypatch's setattr."""
    whole, whole_mica = program.tasks, program.mica

    def tasks(mode: str = "paper") -> dict[str, Any]:
        made = whole(mode)
        for config in made.values():
            config["encoder"]["blocks"] = BLOCKS
            if "farl" in config["encoder"]:
                config["encoder"]["farl"]["depth"] = DEPTH
        made["idrank"]["net"]["hidden"] = HIDDEN
        return made

    def mica() -> dict[str, Any]:
        made = whole_mica()
        made["encoder"]["blocks"] = BLOCKS
        return made

    replace(program, "tasks", tasks)
    replace(program, "mica", mica)


@functools.cache
def arcface() -> dict[str, np.ndarray]:
    """The state dict of an IResNet with BLOCKS."""
    return {
        key: published.value(key, shape)
        for key, shape in published.shapes("arcface_iresnet100").items()
        if not key.startswith("layer") or ".0." in key[:9]
    }


@functools.cache
def clip() -> dict[str, np.ndarray]:
    """A CLIP model's: the image tower with DEPTH blocks, and a little of the text tower."""
    tower = {
        key: published.value(key, shape)
        for key, shape in published.shapes("farl_vit_b16").items()
        if "resblocks" not in key or ".resblocks.0." in key
    }
    return {**tower, "logit_scale": np.array(4.6, np.float32), "ln_final.bias": np.ones(5)}


def narrow(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """An encoder's state dict with an eighth of its channels, by the same rule."""
    return {
        key: published.value(key, [n if n % 64 else n // 8 for n in np.shape(array)])
        for key, array in state.items()
    }


def write_encoders(folder: Path, width: int = 64) -> dict[str, str]:
    """Files of a narrow ArcFace and a narrow FaRL that give `width` features, in their official
    layouts; by name."""
    paths = {name: str(folder / f"{name}.pth") for name in ("arcface", "farl")}
    identity, face = narrow(arcface()), narrow(clip())
    last = [key for key in identity if key.startswith(("fc.", "features.")) and identity[key].ndim]
    identity |= {key: identity[key][:width] for key in last}
    face["visual.proj"] = face["visual.proj"][:, :width]
    torchfiles.write(Path(paths["arcface"]), identity)
    torchfiles.write(Path(paths["farl"]), {"state_dict": face})
    return paths


def ranker() -> dict[str, np.ndarray]:
    """A ranker's with the widths HIDDEN."""
    shapes, width = {}, 6 * program.FRONT
    for i, out in enumerate((*HIDDEN, 1)):
        shapes[f"ranklayers.{i}.mlp.weight"] = [out, width]
        shapes |= {f"ranklayers.{i}.{name}.weight": [out, 1024] for name in ("scale", "shift")}
        shapes |= {f"ranklayers.{i}.{name}.bias": [out] for name in ("mlp", "scale")}
        if i < len(HIDDEN):
            shapes |= {f"ranklayers.{i}.gn.{name}": [out] for name in ("weight", "bias")}
        width = out
    return {key: published.value(key, shape) for key, shape in shapes.items()}


@functools.cache
def contents() -> dict[str, dict[str, Any]]:
    """What torch.save was given, by kind; the denoisers lack their projections."""
    tables = published.golden("schedule_linear_1000")
    training = {"optimizer": {"state": {}, "param_groups": []}, "scheduler": {"factor": 0.99}}
    counters = {"epoch": 3, "global_step": 7, "batch_size": 16}
    rest = {"diffusion": {"var_sched.betas": tables["betas"]}, **training, **counters}
    made: dict[str, dict[str, Any]] = {}
    for kind, name in DENOISERS.items():
        lacking = published.not_in_checkpoint(name)
        net = {k: v for k, v in published.state_dict(name).items() if k not in lacking}
        made[kind] = {"net": net, "arcface": arcface(), "var_sched": tables, **rest}
    made["expgen"]["farl"] = clip()
    made["idrank"] = {"net": ranker(), "arcface": arcface(), "farl": clip(), **rest}
    regressor = published.state_dict("mica_regressor") | {"generator.v_template": np.ones((9, 3))}
    made["mica"] = {"arcface": arcface(), "flameModel": regressor, "epoch": 1}
    return made


def write(folder: Path, *kinds: str, **changes: dict[str, Any]) -> list[Path]:
    """Writes files of the kinds asked for, under names that tell nothing; `changes` of a kind
    replaces entries, None takes one away."""
    paths = []
    for number, kind in enumerate(kinds):
        entries = contents()[kind] | changes.get(kind, {})
        path = folder / f"file{number}.bin"
        torchfiles.write(path, {k: v for k, v in entries.items() if v is not None})
        paths.append(path)
    return paths
