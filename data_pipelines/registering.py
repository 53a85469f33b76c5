"""Where a small crop lies in a larger one of the same photograph, by registration.

MICA's prepared crops are both fitted to five points, so one is half of the other. OFER's larger one
is upright, and what maps it to the smaller one was not kept. It is a similarity, four numbers,
found by Gauss-Newton on the squared difference of grey values, coarse to fine (Lucas and Kanade,
"An iterative image registration technique", IJCAI 1981), and believed if the crops then agree.
"""

import numpy as np

from ofer_jax.faces import align

HALF = np.array([[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]])  # both crops by the same five points
AGREE = 0.9  # correlation of grey values from which two crops are of one photograph
# Starting points: the upright crop has the face at about this scale, turned and moved a little.
SCALE = 0.62
TURNS = (-0.5, -0.25, 0.0, 0.25, 0.5)  # radians
MOVES = (-16.0, 0.0, 16.0)  # px of the small crop, along x
RISE = 6.0  # the face's points lie lower than the middle of the upright crop
LEVELS = ((28, 12, 15), (56, 8, 3), (112, 8, 1))  # side of the small crop, steps, starts kept


def to_112(crop_224: np.ndarray, crop_112: np.ndarray) -> np.ndarray | None:
    """Px of the larger crop uint8 [224, 224, 3] -> px of the smaller [112, 112, 3]: matrix [2, 3].

    None when nothing makes them agree: they are not of one photograph.
    """
    large, small = (np.asarray(crop, np.float64).mean(axis=-1) for crop in (crop_224, crop_112))
    if agreement(large, small, HALF) >= AGREE:
        return HALF.copy()
    found = [align.invert(start) for start in _starts()]  # they map the small crop to the larger
    for side, steps, kept in LEVELS:
        shrunk, target = _resized(large, 2 * side), _resized(small, side)
        tried = [_register(shrunk, target, _scaled(each, 112 / side), steps) for each in found]
        tried.sort(key=lambda each: -_correlation(shrunk, target, each))
        found = [_scaled(each, side / 112) for each in tried[:kept]]
    matrix = align.invert(found[0])
    return matrix if agreement(large, small, matrix) >= AGREE else None


def agreement(large: np.ndarray, small: np.ndarray, matrix: np.ndarray) -> float:
    """Correlation of the smaller crop (grey, [N, N]) with what `matrix` makes of the larger."""
    return _correlation(large, small, align.invert(matrix))


def _correlation(large: np.ndarray, small: np.ndarray, back: np.ndarray) -> float:
    places, inside = _places(large, small, back)
    pair = np.stack([_sampled(large, places[inside]), small.reshape(-1)[inside]])
    pair = pair - pair.mean(axis=1, keepdims=True)
    norm = np.sqrt((pair**2).sum(axis=1).prod())
    return float(pair.prod(axis=0).sum() / norm) if norm > 0 and inside.mean() > 0.5 else -1.0


def _starts() -> list[np.ndarray]:
    starts = []
    for turn in TURNS:
        for move in MOVES:
            cos, sin = SCALE * np.cos(turn), SCALE * np.sin(turn)
            linear = np.array([[cos, -sin], [sin, cos]])
            shift = np.array([55.5 + move, 55.5 + RISE]) - linear @ np.array([111.5, 111.5])
            starts.append(np.concatenate([linear, shift[:, None]], axis=1))
    return starts


def _register(large: np.ndarray, small: np.ndarray, back: np.ndarray, steps: int) -> np.ndarray:
    """Improves a similarity small -> large by Gauss-Newton; brightness and contrast are free."""
    slope_y, slope_x = np.gradient(large)
    x, y = _grid(small)
    a, b, shift = back[0, 0], back[1, 0], back[:, 2].copy()
    for _ in range(steps):
        places, inside = _places(large, small, np.array([[a, -b, shift[0]], [b, a, shift[1]]]))
        if inside.mean() < 0.3:
            break
        value, gx, gy = (_sampled(each, places[inside]) for each in (large, slope_x, slope_y))
        u, v = x[inside], y[inside]
        columns = [gx * u + gy * v, gy * u - gx * v, gx, gy, value, np.ones_like(value)]
        design = np.stack(columns, axis=1)
        wanted = small.reshape(-1)[inside]
        solved = np.linalg.lstsq(design.T @ design, design.T @ wanted, rcond=None)[0]
        if solved[4] < 0.1:  # contrast lost or turned round: a wrong start
            break
        step = solved[:4] / solved[4]
        a, b, shift = a + step[0], b + step[1], shift + step[2:]
    return np.array([[a, -b, shift[0]], [b, a, shift[1]]])


def _grid(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.indices(image.shape, np.float64)
    return x.reshape(-1), y.reshape(-1)


def _places(
    large: np.ndarray, small: np.ndarray, back: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel of the small crop lies in the larger [N, 2], and whether inside [N]."""
    places = align.apply(back, np.stack(_grid(small), axis=1))
    inside = np.all((places >= 0) & (places <= len(large) - 1), axis=1)
    return places, np.asarray(inside)


def _sampled(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Bilinear values [N] of an image [H, W] at places [N, 2] (x, y) inside of it."""
    low = np.clip(np.floor(places).astype(int), 0, np.array(image.shape[::-1]) - 2)
    (fx, fy), (x, y) = (places - low).T, low.T
    top = image[y, x] * (1 - fx) + image[y, x + 1] * fx
    return top * (1 - fy) + (image[y + 1, x] * (1 - fx) + image[y + 1, x + 1] * fx) * fy


def _resized(image: np.ndarray, side: int) -> np.ndarray:
    """A square image at another size, by averages over whole pixels."""
    k = len(image) // side
    return image.reshape(side, k, side, k).mean(axis=(1, 3))


def _scaled(matrix: np.ndarray, factor: float) -> np.ndarray:
    """The same map between two pictures that are both `factor` times smaller."""
    middle = np.full(2, (factor - 1) / 2)  # pixel 0 has its centre there
    shift = (matrix[:, :2] @ middle + matrix[:, 2] - middle) / factor
    return np.concatenate([matrix[:, :2], shift[:, None]], axis=1)
