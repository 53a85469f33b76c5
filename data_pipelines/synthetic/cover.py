"""How much of each pixel a shape covers, kept within the smallest box that holds the shape."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Box = tuple[slice, slice]  # rows, columns


@dataclass(frozen=True)
class Cover:
    """`alpha` float32 0..1 within `box`; nothing is covered outside of it."""

    box: Box
    alpha: Float[np.ndarray, "h w"]

    def times(self, amount: float | np.ndarray) -> "Cover":
        """Thinner: by a number, or by one for each pixel of the box."""
        return Cover(self.box, np.asarray(self.alpha * amount, np.float32))

    def widened(self, margin: int, height: int, width: int) -> "Cover":
        """With uncovered pixels round it, as far as a picture of this size goes."""
        ends = zip(self.box, (height, width), strict=True)
        wide = tuple(
            slice(max(part.start - margin, 0), min(part.stop + margin, end)) for part, end in ends
        )
        return _joined((wide[0], wide[1]), [self])


NOTHING = Cover((slice(0, 0), slice(0, 0)), np.zeros((0, 0), np.float32))


def union(*covers: Cover) -> Cover:
    """What any of them covers, as much as the one that covers most."""
    found = [cover for cover in covers if cover.alpha.size]
    if not found:
        return NOTHING
    rows, columns = zip(*(cover.box for cover in found), strict=True)
    return _joined((_hull(rows), _hull(columns)), found)


def trimmed(rows: int, columns: int, alpha: np.ndarray) -> Cover:
    """The cover of what is above 0 in an array whose corner lies at (rows, columns)."""
    high = np.flatnonzero(alpha.max(1, initial=0))
    if not len(high):
        return NOTHING
    wide = np.flatnonzero(alpha.max(0))
    above, below, left, right = (int(n) for n in (high[0], high[-1] + 1, wide[0], wide[-1] + 1))
    box = slice(rows + above, rows + below), slice(columns + left, columns + right)
    return Cover(box, alpha[above:below, left:right])


def _hull(parts: tuple[slice, ...]) -> slice:
    return slice(min(part.start for part in parts), max(part.stop for part in parts))


def _joined(box: Box, covers: list[Cover]) -> Cover:
    out = np.zeros([part.stop - part.start for part in box], np.float32)
    for cover in covers:
        rows, columns = (
            slice(inner.start - outer.start, inner.stop - outer.start)
            for inner, outer in zip(cover.box, box, strict=True)
        )
        np.maximum(out[rows, columns], cover.alpha, out=out[rows, columns])
    return Cover(box, out)
