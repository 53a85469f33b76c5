"""Meshes survive the way to a file and back, in every format."""

import numpy as np
import pytest
import trimesh

from ofer_jax import meshes

VERTICES = np.float32([[0, 0, 0], [0.1, 0, 0], [0, 0.2, 0], [0, 0, 0.3], [0.5, 0.5, 0.5]])
TRIANGLES = np.int32([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


@pytest.mark.parametrize("kind", meshes.FORMATS)
@pytest.mark.parametrize("colored", [False, True])
def test_round_trip_keeps_order_and_units(tmp_path, kind, colored):
    colors = np.arange(15, dtype=np.uint8).reshape(5, 3) * 10 if colored else None
    path = tmp_path / f"head.{kind}"
    meshes.write(path, VERTICES, TRIANGLES, colors)
    mesh = trimesh.load(path, force="mesh", process=False)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # no temporary file left
    used = 5 if len(mesh.vertices) == 5 else 4  # some readers drop a vertex of no triangle
    np.testing.assert_allclose(mesh.vertices[:used], VERTICES[:used], atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, TRIANGLES)
    np.testing.assert_allclose(mesh.volume, 0.1 * 0.2 * 0.3 / 6, rtol=1e-4)  # outwards: positive
    if colored and kind != "obj":
        np.testing.assert_array_equal(mesh.visual.vertex_colors[:used, :3], colors[:used])


def test_other_formats_and_bad_numbers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="ply, obj, glb"):
        meshes.write(tmp_path / "head.stl", VERTICES, TRIANGLES)
    with pytest.raises(ValueError, match="finite"):
        meshes.write(tmp_path / "head.ply", VERTICES * np.float32(np.nan), TRIANGLES)
    assert not list(tmp_path.iterdir())


def test_colors_follow_the_materials():
    surface = {"material": np.uint8([0, 0, 0, 1]), "material_names": np.array(["skin", "lips"])}
    colors = meshes.colors(surface, TRIANGLES, VERTICES)
    np.testing.assert_array_equal(colors[0], meshes.SKIN)
    np.testing.assert_array_equal(colors[4], meshes.SKIN)  # of no triangle
    assert (colors[1] < meshes.SKIN).all()
    assert (meshes.colors({}, TRIANGLES, VERTICES) == meshes.SKIN).all()


def test_an_eye_looks_ahead():
    eye = np.float32([[0, 0, 1], [0, 0, -1], [1, 0, 0], [-1, 0, 0], [0, 1, 0]])
    colors = meshes.colors({"region_left_eye": np.arange(5)}, TRIANGLES, eye)
    assert (colors[0] < colors[1]).all()
    assert (colors[1:] == meshes.SKIN).all()
