"""Expression directions: MPFB2's ARKit shapes and expression units as one sorted basis.

A plausible expression is a sparse, mostly symmetrical mixture of units. The basis is the uncentred
SVD of many of them, so zero stays neutral, columns are sorted by variance and have unit rms.
Opening the jaw belongs to the jaw joint and is no expression.
"""

import re
from collections.abc import Sequence

import numpy as np

from data_pipelines.openhead.mpfb import Archive
from data_pipelines.openhead.topology import Topology

# The jaw joint opens the mouth; these would say the same twice, or need it.
LEFT_OUT = ("jawOpen", "mouthClose", "mouth-open", "tongueOut", "neck-platysma")
STRONG = re.compile(r"Smile|corner-puller|browInnerUp|browDown|eyebrows|eyeBlink|Frown|Pucker")


def units(archive: Archive, topology: Topology) -> dict[str, np.ndarray]:
    """Displacement [V, 3] of each unit on the head; eyeballs do not move with an expression."""
    found = archive.files(archive.units)
    ancestries = [
        archive.folder("expression", "units", a) for a in ("african", "asian", "caucasian")
    ]
    found.update({n: np.mean([a[n] for a in ancestries], axis=0) for n in ancestries[0]})
    still = np.concatenate([topology.parts[p] for p in ("l-eye", "r-eye", "upper-teeth")])
    out = {}
    for name, displacement in found.items():
        if name not in LEFT_OUT:
            out[name] = displacement[topology.keep]
            out[name][still] = 0
    return {n: d for n, d in sorted(out.items()) if np.abs(d).max() > 1e-4}


def twin(name: str) -> str:
    """The same unit on the other side of the face, or the name itself."""
    for left, right in (("Left", "Right"), ("-left-", "-right-")):
        for a, b in ((left, right), (right, left)):
            if a in name:
                return name.replace(a, b)
    return name


def draw_activations(
    rng: np.random.Generator, names: Sequence[str], neutral: float = 0.2
) -> np.ndarray:
    """Activations [U] in 0..1 of a plausible expression: a few units, twins nearly alike."""
    out = np.zeros(len(names))
    if rng.random() < neutral:
        return out
    place = {n: i for i, n in enumerate(names)}
    chance = np.array([3.0 if STRONG.search(n) else 1.0 for n in names])
    count = rng.integers(1, 7)
    for i in rng.choice(len(names), size=count, replace=False, p=chance / chance.sum()):
        strength = rng.beta(1.3, 1.8)
        out[i] = max(out[i], strength)
        other = place.get(twin(names[i]), i)
        if other != i and rng.random() < 0.85:
            out[other] = max(out[other], np.clip(strength * rng.normal(1, 0.1), 0, 1))
    total = out.sum()
    return out * min(1.0, 2.8 / total) if total else out


def basis(
    displacements: dict[str, np.ndarray], columns: int, seed: int = 1, draws: int = 6000
) -> tuple[np.ndarray, np.ndarray]:
    """exprdirs [V, 3, columns] (unit rms, zero past the units' number) and unit_to_expression
    [U, columns]: coefficients = activations @ unit_to_expression."""
    names = list(displacements)
    flat = np.stack([displacements[n].ravel() for n in names])  # [U, 3V]
    rng = np.random.default_rng(seed)
    activations = np.stack([draw_activations(rng, names, neutral=0.0) for _ in range(draws)])
    # SVD of activations @ flat through its Gram matrix: the directions lie in the units' span.
    q, r = np.linalg.qr(flat.T)  # [3V, U], [U, U]
    values, vectors = np.linalg.eigh(r @ (activations.T @ activations / draws) @ r.T)
    values, vectors = values[::-1], vectors[:, ::-1]
    keep = values > 1e-12 * values[0]
    scale = np.sqrt(values[keep])
    directions = (q @ vectors[:, keep]) * scale
    mapping = (r.T @ vectors[:, keep]) / scale
    count = directions.shape[1]
    exprdirs = np.zeros((flat.shape[1], columns))
    exprdirs[:, :count] = directions
    to_expression = np.zeros((len(names), columns))
    to_expression[:, :count] = mapping
    return exprdirs.reshape(-1, 3, columns), to_expression
