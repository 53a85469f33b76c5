"""The error against frozen values and closed forms, and the distances against every triangle."""

from pathlib import Path

import numpy as np
import pytest

from ofer_jax import flame, openhead
from ofer_jax.now import align, protocol
from ofer_jax.now.protocol import Face, Settings
from ofer_jax.now.surface import Surface
from tests import made_up_now as made_up

NO_TRIANGLES = np.zeros((0, 3), int)


@pytest.fixture(scope="module")
def golden(testdata: Path) -> dict[str, np.ndarray]:
    with np.load(testdata / "now.npz") as stored:
        return {name: stored[name] for name in stored.files}


@pytest.mark.parametrize("metrical", [False, True])
@pytest.mark.parametrize("case", [0, 1, 2])
def test_errors_are_the_golden_ones(golden: dict, case: int, metrical: bool) -> None:
    scan = Face(
        golden[f"{case}_scan_vertices_mm"], NO_TRIANGLES, golden[f"{case}_scan_landmarks_mm"]
    )
    unit = 1e3 if metrical else 1.0
    vertices, landmarks = (golden[f"{case}_pred_{n}_m"] * unit for n in ("vertices", "landmarks"))
    prediction = Face(vertices, golden["faces"], landmarks)
    found = protocol.distances(scan, prediction, Settings(metrical=metrical))
    kind = "metrical" if metrical else "scaled"
    wanted = golden[f"{case}_out_{kind}_distances"].astype(float)
    assert len(found) == len(wanted)
    stats = golden[f"{case}_out_{kind}_stats"]
    assert np.median(found) == pytest.approx(stats[0], rel=0.005)
    assert np.mean(found) == pytest.approx(stats[1], rel=0.002)
    assert np.square(found).sum() <= 1.00001 * np.square(wanted).sum()


def test_a_scan_as_its_own_prediction_has_no_error(rng: np.random.Generator) -> None:
    """Also moved and scaled."""
    scan = made_up.scan(rng, noise=0.3)
    for metrical in (False, True):
        assert protocol.distances(scan, scan, Settings(metrical=metrical)).max() < 1e-5
    turn = made_up.turn(rng)
    shrunk = Face(
        0.001 * scan.vertices @ turn.T + 0.3,
        scan.triangles,
        0.001 * scan.landmarks @ turn.T + 0.3,
    )
    assert protocol.distances(scan, shrunk, Settings()).max() < 1e-5


def test_the_mean_face_against_points_of_its_own_surface(rng: np.random.Generator) -> None:
    """A scan of the mean head with vertices on its triangles, from landmarks that are 2 mm off."""
    head = flame.load(openhead.head_path())
    mean = made_up.of_shape(head, np.zeros(head.num_shape))
    scan = made_up.scan(rng, mean, cuts=1, noise=0.0)
    rough = mean.landmarks + 0.002 * rng.standard_normal((7, 3))
    found = protocol.distances(scan, Face(mean.vertices, mean.triangles, rough), Settings())
    assert len(found) > 3000
    assert found.max() < 1e-4


def test_sphere_against_sphere() -> None:
    """Concentric at the minimum: the difference of the radii; nothing when the scale is free."""
    directions, triangles = made_up.sphere(3)
    corners = directions[np.linspace(0, len(directions) - 1, 7).astype(int)]
    scan = Face(80.0 * directions + 5.0, NO_TRIANGLES, 80.0 * corners + 5.0)
    prediction = Face(78.5 * directions, triangles, 78.5 * corners)
    whole = {"radius": 10.0}
    metrical = protocol.distances(scan, prediction, Settings(**whole, metrical=True))
    assert len(metrical) == len(directions)
    np.testing.assert_allclose(metrical, 1.5, atol=1e-4)
    assert protocol.distances(scan, prediction, Settings(**whole)).max() < 1e-4


def test_without_refinement_the_landmarks_alone_align(rng: np.random.Generator) -> None:
    scan = made_up.scan(rng, noise=0.0)
    off = Face(scan.vertices, scan.triangles, scan.landmarks + np.array([3.0, 0.0, 0.0]))
    stays = protocol.distances(scan, off, Settings(refine=False))
    assert stays.max() > 0.5
    assert protocol.distances(scan, off, Settings()).max() < 1e-4


def test_distances_are_those_of_comparing_with_every_triangle(rng: np.random.Generator) -> None:
    """On a soup of small, huge, flat and dotlike triangles; `near` holds within its margin."""
    vertices = rng.standard_normal((60, 3))
    triangles = rng.integers(0, 60, (90, 3))
    vertices[:20] *= 30
    surface = Surface(vertices, triangles)
    points = 2 * rng.standard_normal((400, 3))
    for moved in (points, points + 0.05):
        found = surface.closest(moved, surface.near(points, 0.1))
        wanted = made_up.distance_to_every(moved, vertices[triangles])
        np.testing.assert_allclose(found.distance, wanted, atol=1e-9)
    np.testing.assert_allclose(
        np.linalg.norm(found.place - moved, axis=1), found.distance, atol=1e-12
    )


def test_procrustes_finds_similarities_and_mirror_images(rng: np.random.Generator) -> None:
    source = rng.standard_normal((4, 7, 3))
    turn = np.stack([made_up.turn(rng) for _ in range(4)])
    target = 2.5 * source @ np.swapaxes(turn, 1, 2) + 3.0
    scale, rotation, shift = align.procrustes(source, target)
    np.testing.assert_allclose(scale, 2.5)
    np.testing.assert_allclose(rotation, turn, atol=1e-12)
    np.testing.assert_allclose(shift, 3.0, atol=1e-12)
    flipped = align.procrustes(source * [-1, 1, 1], target, mirror=True)
    np.testing.assert_allclose(np.linalg.det(flipped[1]), -1.0)
    np.testing.assert_allclose(flipped[0], 2.5)
