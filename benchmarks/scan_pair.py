"""Time one pair of NoW's size: a scan of 60,000 vertices in the crop against a head.

    python -m benchmarks.scan_pair

The scan is a random open head, its face cut into small triangles, with 0.3 mm of noise; the
prediction is another open head. Prints seconds, of the clock and of the processor.
"""

import time

import numpy as np

from ofer_jax import flame, openhead
from ofer_jax.now import heads, protocol
from ofer_jax.now.protocol import Face, Settings

CROP = 60_000


def pair(seed: int = 0) -> tuple[Face, Face]:
    """(scan in millimetres, prediction in metres)."""
    rng = np.random.default_rng(seed)
    head = flame.load(openhead.head_path())
    shapes = rng.standard_normal((2, head.num_shape)).astype(np.float32)
    vertices = np.asarray(flame.vertices(head, shape=shapes), np.float64)
    marks = [heads.landmarks(head, v) for v in vertices]
    triangles = np.asarray(head.faces)
    near = protocol.crop(1e3 * vertices[0], 1e3 * marks[0], 1.6)
    corners = 1e3 * vertices[0][triangles[near[triangles].all(axis=1)]]
    share = rng.dirichlet([1, 1, 1], (40, len(corners)))  # points on the surface
    points = np.einsum("nfk,fkc->nfc", share, corners).reshape(-1, 3)
    points += 0.3 * rng.standard_normal(points.shape)
    inside = protocol.crop(points, 1e3 * marks[0], protocol.NOW_RADIUS)
    kept = rng.permutation(points[inside])[:CROP]
    scan = Face(kept, np.zeros((0, 3), int), 1e3 * marks[0])
    return scan, Face(vertices[1], triangles, marks[1])


def main() -> None:
    """Print the times of three runs."""
    scan, prediction = pair()
    print(f"{len(scan.vertices)} vertices, {len(prediction.triangles)} triangles")
    for _ in range(3):
        clock, processor = time.perf_counter(), time.process_time()
        found = protocol.distances(scan, prediction, Settings())
        clock, processor = time.perf_counter() - clock, time.process_time() - processor
        print(f"{clock:.2f} s, {processor:.2f} s of processor, median {np.median(found):.4f} mm")


if __name__ == "__main__":
    main()
