"""Reports of `launch.evaluate` about made-up figures, made by the functions that make real ones."""

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from ofer_jax import quality, ranking, ranking_report
from ofer_jax.evaluation_page import Found, kind
from ofer_jax.occluded_expressions import figures, report
from ofer_jax.photo_checks import answers, consistency

HEAD = {"name": "open-head-1", "sha256": "c" * 64, "release": "open-head-1"}
PICTURES = 6
RIVAL = f"{ranking.RIVAL}another - bundle"


def about(word: str) -> dict[str, Any]:
    command = f"python -m launch.evaluate {word} --data data/openhead"
    sizes = {"samples": 20, "expressions": 5, "seed": 0, "split": "test"}
    return {"command": command, "head": HEAD, "bundle": "b" * 64, **sizes}


def errors(rng: np.random.Generator, error: float) -> np.ndarray:
    """Of each picture, metres: 10 % about `error`."""
    return error * rng.uniform(0.9, 1.1, PICTURES)


def heads(ranked: float = 0.001, calibration: float = 1.0) -> dict[str, Any]:
    """The mean face errs by 2 mm, the ranked sample by `ranked` (metres)."""
    rng = np.random.default_rng(0)
    rows = {"mean face": 0.002, "average sample": 0.0015, "mean of the samples": 0.0009}
    rows |= {"medoid": 0.0012, "nearest to the mean": 0.0012, "ranked": ranked, "oracle": 0.0007}
    rows |= {f"expression/{name}": 0.001 for name in quality.EXPRESSION}
    sides = {}
    for side in ("clean", "occluded"):
        sides[side] = {name: errors(rng, error) for name, error in rows.items()}
        sides[side]["miss"] = np.ones(PICTURES)
        sides[side]["spread"] = np.full(PICTURES, calibration + 0.01 * (side == "occluded"))
    own = about("heads")
    return quality.report(sides, subject=np.arange(PICTURES), about=own, rounds=50)


def choice() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    sides: dict[str, dict[int, Any]] = {"clean": {}, "occluded": {}}
    for side in sides.values():
        for size in (2, 100):
            side[size] = {name: errors(rng, 0.002) for name in ranking.ROWS}
            side[size] |= {"oracle": errors(rng, 0.0005), RIVAL: errors(rng, 0.0018)}
            for name in ("random", *ranking.ORDERS, RIVAL):
                side[size] |= {f"ndcg/{name}": errors(rng, 0.8), f"top1/{name}": errors(rng, 0.1)}
    own = about("ranking")
    return ranking_report.report(sides, subject=np.arange(PICTURES), about=own, rounds=50)


def expressions() -> dict[str, Any]:
    groups = ("visible", "hidden", "face")
    rng = np.random.default_rng(0)

    def sums(spread: float) -> dict[str, np.ndarray]:
        every = np.full((PICTURES, len(groups)), 100.0)
        names = (*report.ERRORS, *report.COVERED, "miss")
        wider = spread * np.array([[1.0, 2.0, 1.5]]) * rng.uniform(0.9, 1.1, every.shape)
        return {"count": every, "spread": wider} | dict.fromkeys(names, 0.9 * every)

    found = {
        side: {k: sums(spread) for k in figures.KINDS}
        for side, spread in (("clean", 1.0), ("occluded", 2.0))
    }
    far = {side: {"shape": np.full((PICTURES, 3), 50.0)} for side in found}
    measured = figures.Measured(found, groups, far)
    own = about("expressions") | {"protocol": "OOX-1"}
    return report.report(measured, subject=np.arange(PICTURES), about=own, rounds=50)


def photographs(names: list[str]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    faces = 0.1 * rng.standard_normal((len(names), 12, 3)).astype(np.float32)
    changed = {"dimmed": faces + 0.001 * rng.standard_normal(faces.shape).astype(np.float32)}
    changed["dimmed"][0] = np.nan  # a lost face
    own = consistency.measure(faces, changed, faces, rounds=20)
    percent = {name: 3 + rng.uniform(size=len(names)) for name in ("mean face", "ranked")}
    percent["mean of the samples"] = percent["ranked"]
    return about("photos") | {
        "photographs": names,
        "no face": [],
        "consistency": {"mean": own, "ranked": own},
        "reprojection": answers.summary(percent, rounds=20) | {"of": names},
    }


def scans(title: str = "NoW validation set, scale-free: 4 pictures of 2 people") -> dict[str, Any]:
    names = ("prediction", "mean face of open-head-1", "ground truth as its own prediction")
    row = {f: {"value": 1.2, "low": 1.1, "high": 1.3} for f in ("median", "mean", "std")}
    curve = [(mm / 10, min(1.0, mm / 30)) for mm in range(71)]
    return {
        "title": title,
        "figures": list(row),
        "head": HEAD,
        "command": "python -m launch.evaluate now --dataset NoW",
        "rows": {name: {"all": row, "selfie": row} for name in names},
        "curves": dict.fromkeys(names, curve),
        "notes": ["Distances of the scans' vertices to the surface."],
    }


def cases() -> dict[str, Any]:
    stream = io.BytesIO()
    Image.new("RGBA", (8, 8), (200, 80, 40, 255)).save(stream, format="WEBP")
    picture = base64.b64encode(stream.getvalue()).decode()
    names = ("seen", "truth", "ranked", "mean of the samples", "oracle", "error")
    rows = ("mean face", "ranked", "mean of the samples", "oracle")

    def case(number: int, side: str, ratio: float) -> dict[str, Any]:
        mm = dict.fromkeys(rows, 2.0 * ratio) | {"mean face": 2.0}
        own = {"row": number, "subject": number, "side": side, "occluder": "hat"}
        return own | {"ratio": ratio, "mm": mm, "pictures": dict.fromkeys(names, picture)}

    return {
        "scale_mm": 3.5,
        "best": [case(3, "clean", 0.41)],
        "worst": [case(5, "occluded", 1.37)],
    }


def every() -> list[Found]:
    """One report of each command."""
    reports = [heads(), choice(), expressions(), photographs(["a.jpg", "b.jpg", "c.jpg"]), scans()]
    found = [Found(kind(each), each, f"report {i}") for i, each in enumerate(reports)]
    return [found[0]._replace(cases=cases()), *found[1:]]
