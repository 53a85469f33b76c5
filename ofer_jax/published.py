"""What the published program is: its three networks as tasks' configs, in two modes.

`paper` is what the paper describes, sound everywhere: exact tables, a stochastic third-order
sampler, RGB, and the last BatchNorm of every ArcFace. `official_demo` is the released demo, with
its faults:

- shapes by its own "DDIM", expressions by all 1000 steps of DDPM, tables computed in float32;
- crops in the order BGR;
- the ranker's ArcFace without its last BatchNorm, which the program leaves out for a batch of one
  (the other two networks see a hundred copies of the picture);
- half of the jaw's rotation.

Selvaraju et al., "OFER: Occluded Face Expression Reconstruction", CVPR 2025.
"""

from __future__ import annotations

from typing import Any

MODES = ("paper", "official_demo")
SHAPES, EXPRESSIONS = 300, 50  # FLAME coefficients that the networks draw
FRONT = 1785  # front-face vertices that the ranker sees

Config = dict[str, Any]


def tasks(mode: str = "paper") -> dict[str, Config]:
    """The configs of 'idgen', 'idrank' and 'expgen' as a bundle holds them.

    Raises ValueError for a mode that is not one of MODES.
    """
    if mode not in MODES:
        raise ValueError(f"mode {mode!r} is not known; use one of {', '.join(MODES)}")
    demo = mode == "official_demo"
    return {
        "idgen": _idgen(demo) | _diffusion(demo, {"name": "official_ddim"}),
        "idrank": _idrank(demo),
        "expgen": _expgen(demo) | _diffusion(demo, {"name": "ddpm"}),
    }


def mica() -> Config:
    """The 'regressor' of IdGen that MICA's checkpoint makes: RGB in every mode, as MICA has it."""
    net = {"hidden": 300, "depth": 4, "out_dim": SHAPES}
    return {"name": "mica", "encoder": _arcface(demo=False), "net": net}


def _idgen(demo: bool) -> Config:
    return {
        "features": {"name": "crops"},
        "encoder": _arcface(demo),
        "num_coefficients": SHAPES,
        "basis": "first",
        "rest": "zero",
        "net": _denoiser([SHAPES, 50, 10], 512),
        "regressor": {},
    }


def _idrank(demo: bool) -> Config:
    return {
        "features": {"name": "crops"},
        "encoder": _farl_arcface(demo) | {"last_norm": not demo},
        "context_dim": 1024,
        "temperature": 1.0,
        "vertex_stride": 1,
        "relative": False,
        "rigid_free": False,
        "vertex_scale": 1.0,
        "net": {"hidden": [4096, 1024, 256, 64], "groups": 8},
    }


def _expgen(demo: bool) -> Config:
    return {
        "features": {"name": "crops"},
        "encoder": _farl_arcface(demo),
        "num_expression": EXPRESSIONS,
        "total_expression": 100,
        "expression_scale": 1.0,
        "jaw_mean": [0.0, 0.0, 0.0],
        "jaw_scale": [0.5 if demo else 1.0] * 3,
        "net": _denoiser([EXPRESSIONS + 3, 25, 10], 1024),
    }


def _diffusion(demo: bool, sampler: Config) -> Config:
    tables = "float32" if demo else "float64"
    return {
        "prediction_type": "eps",
        "loss": "l1",
        "schedule": {"steps": 1000, "beta_start": 1e-4, "beta_end": 1e-2, "tables": tables},
        "sampler": sampler if demo else {"name": "dpm3", "steps": 25},
        "weight_power": 0.0,
    }


def _arcface(demo: bool) -> Config:
    return {
        "name": "arcface",
        "blocks": [3, 13, 30, 3],
        "last_norm": True,
        "channels": "bgr" if demo else "rgb",
        "frozen_stages": 3,
    }


def _farl_arcface(demo: bool) -> Config:
    farl = {"width": 768, "depth": 12, "heads": 12, "patch": 16, "out_dim": 512}
    return _arcface(demo) | {"name": "farl+arcface", "farl": farl}


def _denoiser(widths: list[int], context_dim: int) -> Config:
    sizes = {"time_dim": 512, "tokens": 16, "heads": 4, "head_dim": 32}
    return {"widths": widths, "context_dim": context_dim, **sizes, "attention": True}
