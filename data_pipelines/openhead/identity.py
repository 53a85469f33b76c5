"""Draws heads of many people from MPFB2's targets and finds their principal components.

A person has an ancestry (Dirichlet), a sex, an age between young and old, a weight and a muscle
tone; on top, every pair of opposed local targets (`nose-hump-incr` / `-decr`) is one normal
value, left and right nearly equal. Translation is taken out; a PCA gives 300 unit-variance modes.
"""

import re
from collections.abc import Mapping

import numpy as np

from data_pipelines.openhead.mpfb import Archive

ANCESTRIES, SEXES, AGES = ("african", "asian", "caucasian"), ("female", "male"), ("young", "old")
LEVELS = ("min", "average", "max")

# Standard deviation of the local values of each folder. Forehead and head scale are kept low: at
# full strength they turn some heads to cones.
FOLDERS = {
    "head": 0.20, "forehead": 0.14, "eyebrows": 0.30, "eyes": 0.24, "nose": 0.22, "mouth": 0.22,
    "ears": 0.30, "chin": 0.28, "cheek": 0.28, "neck": 0.18, "asym": 0.10,
}  # fmt: skip
SPECIAL = {"scale": 0.7, "back-scale": 0.7, "fat": 1.3, "age": 1.0}
EXCLUDED = re.compile(
    r"head-trans|head-angle|measure|asymm-|ear-shape-pointed|neck-trans|scale-vert"
)
OPPOSED = (
    ("decr", "incr"), ("down", "up"), ("in", "out"), ("backward", "forward"),
    ("compress", "uncompress"), ("concave", "convex"),
)  # fmt: skip


def factors(archive: Archive, keep: np.ndarray) -> tuple[dict[str, np.ndarray], dict]:
    """Displacements [V, 3] of the kept vertices: macro targets by name, and local factors.

    A local factor is (low, high or None, standard deviation, coupling group).
    """
    macro = {n: t[keep] for n, t in archive.folder("macrodetails").items() if "baby" not in n}
    local = {}
    for folder, sigma in FOLDERS.items():
        targets = {n: t[keep] for n, t in archive.folder(folder).items() if not EXCLUDED.search(n)}
        local.update(_pair(targets, sigma))
    return macro, {n: f for n, f in local.items() if np.abs(f[0]).max() + np.abs(f[1]).max() > 1e-5}


def _pair(targets: Mapping[str, np.ndarray], sigma: float) -> dict:
    out, used = {}, set()
    for name in targets:
        for low, high in OPPOSED:
            stem = name.removesuffix(f"-{low}")
            if stem != name and f"{stem}-{high}" in targets:
                out[stem] = (targets[name], targets[f"{stem}-{high}"], _sigma(stem, sigma))
                used |= {name, f"{stem}-{high}"}
    for name in targets.keys() - used:
        zero = np.zeros_like(targets[name])
        out[name] = (zero, targets[name], 0.8 * _sigma(name, sigma))
    return dict(sorted(out.items()))


def _sigma(name: str, sigma: float) -> float:
    for part, factor in SPECIAL.items():
        if part in name and name.startswith(("head", "forehead")):
            return sigma * factor
    return sigma


def draw(
    rng: np.random.Generator, base: np.ndarray, macro: dict[str, np.ndarray], local: dict
) -> np.ndarray:
    """One head [V, 3] in metres, before its translation is removed."""
    out = base.copy()
    for name, weight in _macro_weights(rng).items():
        out += weight * macro[name]
    shared: dict[str, float] = {}
    for name, (low, high, sigma) in local.items():
        side = re.sub(r"^[lr]-", "", name)
        common = shared.setdefault(side, rng.standard_normal())
        own = rng.standard_normal()
        # Left and right of a face differ a little: correlation 0.96.
        value = common if side == name else 0.98 * common + 0.2 * own
        value = float(np.clip(sigma * value, -1.2, 1.2))
        out += value * high if value > 0 else -value * low
    return out


def _macro_weights(rng: np.random.Generator) -> dict[str, float]:
    ancestry = dict(zip(ANCESTRIES, rng.dirichlet([0.7] * 3), strict=True))
    male, old = rng.beta(0.5, 0.5), rng.beta(0.9, 1.6)
    sex, age = {"female": 1 - male, "male": male}, {"young": 1 - old, "old": old}
    muscle, weight = _levels(rng.normal(0, 0.45)), _levels(rng.normal(0, 0.55))
    out = {
        f"{a}-{s}-{y}": ancestry[a] * sex[s] * age[y]
        for a in ANCESTRIES
        for s in SEXES
        for y in AGES
    }
    for s in SEXES:
        for y in AGES:
            for m, wm in muscle.items():
                for w, ww in weight.items():
                    out[f"universal-{s}-{y}-{m}muscle-{w}weight"] = sex[s] * age[y] * wm * ww
    return out


def _levels(value: float) -> dict[str, float]:
    value = float(np.clip(value, -1, 1))
    return {"min": max(-value, 0.0), "average": 1 - abs(value), "max": max(value, 0.0)}


def components(heads: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean [V, 3] and the `count` leading unit-variance modes [V, 3, count], in metres."""
    mean = heads.mean(0)
    flat = (heads - mean).reshape(len(heads), -1)
    _, vectors = np.linalg.eigh(flat @ flat.T / len(heads))
    vectors = vectors[:, ::-1][:, :count]
    modes = flat.T @ vectors / np.sqrt(len(heads))  # column norm = standard deviation
    signs = np.sign(modes[np.abs(modes).argmax(0), np.arange(count)])
    return mean, (modes * signs).reshape(*mean.shape, count)
