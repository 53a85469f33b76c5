"""What people get wrong, found before any number is printed.

A face has 7 landmarks, and every human's lie much alike. So units show in the distance of the outer
eye corners; an order that is not the benchmark's, or an axis with the wrong sign, in how well the
landmarks fit the scan's when they are reordered or mirrored; triangles that are inside out in the
normals about the nose. An open mouth is a pit in the profile between nose and chin that closed lips
do not have. Where the mesh has the topology of the head in use, it is compared with the nearest
neutral head as well: what expressions and the jaw explain of the rest is expression.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from ofer_jax.now import align
from ofer_jax.now.protocol import LANDMARKS, Face

UNITS = {"mm": 1.0, "cm": 10.0, "m": 1000.0}  # in millimetres
EYES_MM = (60.0, 130.0)  # outer eye corners of small children and large men
_OFF = 0.15  # of the eyes' distance: farther from the mesh no landmark lies
_MISFIT = 0.06  # of the eyes' distance, root mean square: a good fit of two people's landmarks
_BETTER = 0.6  # another order has to fit that much better
# Of the eyes' distance: a mouth is open where the profile is that deep over that height. Neutral
# open heads reach .011 of height, jaws opened by 5 degrees .094.
_DEEP, _OPEN = 0.1, 0.05
_SAMPLES = 280
_REST = 3e-4  # metres: farther from every neutral head than rounding makes it
_UNEXPLAINED = 0.5


@dataclass(frozen=True)
class Neutral:
    """What the head in use knows of neutral faces: its triangles, its template (metres), and unit
    directions at right angles: `still` are those of shapes and of small similarities, `moving` what
    expressions and the jaw add to them."""

    triangles: Int[np.ndarray, "F 3"]
    template: Float[np.ndarray, "V 3"]
    still: Float[np.ndarray, "V*3 S"]
    moving: Float[np.ndarray, "V*3 M"]


@dataclass
class Findings:
    """Errors keep numbers from being printed; notes are printed above them."""

    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def face(
    found: Face, scan: Face, *, mesh: str, marks: str, neutral: Neutral | None = None
) -> Findings:
    """Looks at one prediction beside its scan (in any units of their own).

    Args:
      found: the prediction.
      scan: of that person, its landmarks in the benchmark's order.
      mesh, marks: what its files are called in messages.
      neutral: of the head in use.
    """
    out = Findings()
    if not len(found.triangles):
        out.errors.append(f"{mesh}: it has no triangles; write the surface, not the points alone")
        return out
    eyes = eye_distance(found.landmarks)
    if eyes <= 0 or (said := _landmarks_off(found, eyes)):
        why = said if eyes > 0 else "the outer eye corners are one point"
        out.errors.append(f"{marks}: {why}")
        return out
    inside_out = _inside_out(found)
    if said := _order(found.landmarks, scan.landmarks, inside_out):
        out.errors.append(f"{marks if said.startswith('landmark') else mesh}: {said}")
        return out
    if inside_out:
        out.notes.append(f"{mesh}: its triangles are inside out (the error does not depend on it)")
    if (gap := mouth_gap(found)) > _OPEN:
        out.errors.append(
            f"{mesh}: the mouth is open (by {gap:.0%} of the eyes' distance); hand in the neutral "
            "face: expression, jaw and pose zero"
        )
    elif neutral is not None and (said := _expression(found, neutral)):
        out.errors.append(f"{mesh}: {said}")
    return out


def eye_distance(landmarks: Float[np.ndarray, "7 3"]) -> float:
    """Between the outer eye corners."""
    return float(np.linalg.norm(landmarks[0] - landmarks[3]))


def unit_of(eyes: float) -> str:
    """The unit in which outer eye corners are that far apart, or ''."""
    return next((u for u, mm in UNITS.items() if EYES_MM[0] <= eyes * mm <= EYES_MM[1]), "")


def unit(eyes: float, said: str) -> str:
    """What is wrong with calling the unit `said`, or ''."""
    if EYES_MM[0] <= eyes * UNITS[said] <= EYES_MM[1]:
        return ""
    real = unit_of(eyes)
    rest = f"that is {real}; say --unit {real}, or scale the mesh" if real else "of no human face"
    return f"the outer eye corners are {eyes:.4g} {said} apart: {rest}"


def _landmarks_off(found: Face, eyes: float) -> str:
    away = np.linalg.norm(found.vertices[:, None] - found.landmarks, axis=2).min(axis=0)
    worst = int(np.argmax(away))
    if away[worst] <= _OFF * eyes:
        return ""
    return (
        f"landmark {worst + 1} ({LANDMARKS[worst]}) lies {away[worst]:.3g} away from the mesh "
        f"(the outer eye corners: {eyes:.3g}); take mesh and landmarks from one head, in one unit"
    )


def _order(landmarks: np.ndarray, scan: np.ndarray, inside_out: bool) -> str:
    limit = _MISFIT * eye_distance(scan)
    misfit = _misfit(landmarks[None], scan)[0]
    mirrored = _misfit(landmarks[None], scan, mirror=True)[0]
    if inside_out and mirrored < _BETTER * misfit:
        return "the mesh is mirrored (one axis has the wrong sign): negate it in mesh and landmarks"
    if misfit <= limit and mirrored >= _BETTER * misfit:
        return ""
    orders = np.array(list(itertools.permutations(range(7))))
    all_fits = _misfit(landmarks[orders], scan)
    best = orders[int(np.argmin(all_fits))]
    if all_fits.min() < _BETTER * misfit and (best != np.arange(7)).any():
        moved = [f"{LANDMARKS[i]} in row {best[i] + 1}" for i in range(7) if best[i] != i]
        rest = f"; the order is: {', '.join(LANDMARKS)}"
        return f"landmarks in another order: it has the {', the '.join(moved)}{rest}"
    if misfit > 3 * limit:
        return (
            f"landmarks that are not a face's (they miss the scan's by {misfit:.0f} mm, root mean "
            f"square, after the alignment); the order is: {', '.join(LANDMARKS)}"
        )
    return ""


def _misfit(
    cases: Float[np.ndarray, "B 7 3"], scan: np.ndarray, mirror: bool = False
) -> Float[np.ndarray, "B"]:
    """Root mean square distance after a similarity, in the scan's unit."""
    scale, rotation, shift = align.procrustes(cases, scan[None], mirror=mirror)
    moved = scale[:, None, None] * cases @ np.swapaxes(rotation, 1, 2) + shift[:, None]
    return np.sqrt(np.square(moved - scan).sum(-1).mean(-1))


def _axes(landmarks: np.ndarray) -> Float[np.ndarray, "3 3"]:
    """Rows: to the person's left, up, out of the face (as the landmarks' order has it)."""
    left = landmarks[3] - landmarks[0]
    left = left / np.linalg.norm(left)
    up = landmarks[:4].mean(0) - landmarks[5:].mean(0)
    up = up - (up @ left) * left
    up = up / max(float(np.linalg.norm(up)), 1e-300)
    return np.stack([left, up, np.cross(left, up)])


def _inside_out(found: Face) -> bool:
    """Do the triangles about the nose look into the head? The nose sticks out of the face."""
    corners = found.vertices[found.triangles]
    near = np.linalg.norm(corners.mean(1) - found.landmarks[4], axis=1)
    near = near < 0.3 * eye_distance(found.landmarks)
    a, b, c = np.moveaxis(corners[near], 1, 0)
    normal = np.cross(b - a, c - a).sum(0)
    forward = found.landmarks[4] - found.landmarks[[1, 2, 5, 6]].mean(0)
    up = _axes(found.landmarks)[1]
    return float(normal @ (forward - (forward @ up) * up)) < 0


def mouth_gap(found: Face) -> float:
    """How high the profile is open between the nose and what comes below the mouth, as a share of
    the outer eye corners' distance."""
    axes, eyes = _axes(found.landmarks), eye_distance(found.landmarks)
    mouth = found.landmarks[5:].mean(0)
    local = (found.vertices - mouth) @ axes.T / eyes
    top = float((found.landmarks[4] - mouth) @ axes[1]) / eyes
    heights = np.linspace(top, -0.75, _SAMPLES)
    pits = [_pit(_profile(local, found.triangles, x, heights)) for x in (-0.06, 0.0, 0.06)]
    return min((pit > _DEEP).sum() for pit in pits) * float(heights[0] - heights[1])


def _profile(local: np.ndarray, triangles: np.ndarray, x: float, heights: np.ndarray) -> np.ndarray:
    """The foremost z of the mesh at x and each height; -inf where there is none."""
    corners = local[triangles]
    across, along = corners[..., 0], corners[..., 1]
    touched = (across.min(1) <= x) & (across.max(1) >= x)
    touched &= (along.max(1) >= heights.min()) & (along.min(1) <= heights.max())
    a, b, c = (corners[touched, i] for i in range(3))
    ab, ac = b - a, c - a
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    some = np.abs(area) > 1e-300
    a, ab, ac, area = a[some], ab[some], ac[some], area[some]
    dx, dy = x - a[:, 0], heights[:, None] - a[:, 1]
    v = (dx * ac[:, 1] - dy * ac[:, 0]) / area
    w = (dy * ab[:, 0] - dx * ab[:, 1]) / area
    inside = (v >= -1e-9) & (w >= -1e-9) & (v + w <= 1 + 1e-9)
    depth = a[:, 2] + v * ab[:, 2] + w * ac[:, 2]
    return np.where(inside, depth, -np.inf).max(axis=1, initial=-np.inf)


def _pit(depth: np.ndarray) -> np.ndarray:
    """How deep water would stand at each place, were the profile laid on its back."""
    above, below = np.maximum.accumulate(depth), np.maximum.accumulate(depth[::-1])[::-1]
    level = np.minimum(above, below)
    held = np.isfinite(level)
    return np.where(held, np.where(held, level, 0.0) - depth, 0.0)


def _expression(found: Face, neutral: Neutral) -> str:
    """Says so if expressions and the jaw explain much of the way to the nearest neutral head."""
    same = found.vertices.shape == neutral.template.shape
    if not same or not np.array_equal(found.triangles, neutral.triangles):
        return ""
    scale, rotation, shift = align.procrustes(found.vertices, neutral.template)
    vertices = scale * found.vertices @ rotation.T + shift
    gap = (vertices - neutral.template).ravel()
    left = gap - neutral.still @ (gap @ neutral.still)
    rest = _per_vertex(left)
    unexplained = _per_vertex(left - neutral.moving @ (left @ neutral.moving))
    if rest <= _REST or unexplained > _UNEXPLAINED * rest:
        return ""
    return (
        f"expression, jaw or pose is not zero (vertices lie {1e3 * rest:.2f} mm, root mean square, "
        "from the nearest neutral head); hand in the shape alone"
    )


def _per_vertex(gap: np.ndarray) -> float:
    """Root mean square length."""
    return float(np.sqrt(np.square(gap).sum() / (len(gap) / 3)))
