"""Meshes and landmarks in every form that they come in, and what is wrong with others."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from ofer_jax import meshes
from ofer_jax.now import files

VERTICES = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.5]])
TRIANGLES = np.array([[0, 1, 2], [0, 2, 3]])
POINTS = np.arange(21.0).reshape(7, 3)


@pytest.mark.parametrize(
    ("vertex", "face"),
    [
        ("v {} {} {}", "f 1 2 3 4"),
        ("v {} {} {} 0.1 0.2 0.3", "f 1/1/1 2/2/2 3/3/3 4/4/4"),
        ("v  {} {} {} 1.0", "f 1//1 2//2 3//3\nf 1//1 3//3 4//4"),
        ("v {} {} {}\nvt 0.5 0.5\nvn 0 0 1", "usemtl x\nf -4 -3 -2\nf -4 -2 -1"),
    ],
)
def test_obj_files_of_all_kinds(tmp_path: Path, vertex: str, face: str) -> None:
    path = tmp_path / "a.obj"
    path.write_text("# a\n" + "\n".join(vertex.format(*row) for row in VERTICES) + f"\n{face}\n")
    found = files.mesh(path)
    np.testing.assert_array_equal(found.vertices, VERTICES)
    np.testing.assert_array_equal(found.triangles, TRIANGLES)
    assert found.coloured == ("0.3" in vertex)


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian"])
def test_ply_files_of_another_program(tmp_path: Path, encoding: str) -> None:
    made = trimesh.Trimesh(VERTICES, TRIANGLES, process=False, vertex_colors=np.full((4, 4), 9))
    (tmp_path / "a.ply").write_bytes(
        made.export(file_type="ply", encoding=encoding.replace("binary_little_endian", "binary"))
    )
    found = files.mesh(tmp_path / "a.ply")
    np.testing.assert_allclose(found.vertices, VERTICES)
    np.testing.assert_array_equal(found.triangles, TRIANGLES)


@pytest.mark.parametrize("suffix", ["ply", "obj"])
def test_our_own_meshes_come_back(tmp_path: Path, suffix: str) -> None:
    meshes.write(tmp_path / f"a.{suffix}", VERTICES, TRIANGLES)
    found = files.mesh(tmp_path / f"a.{suffix}")
    np.testing.assert_allclose(found.vertices, VERTICES)
    np.testing.assert_array_equal(found.triangles, TRIANGLES)


def test_polygons_in_binary_ply(tmp_path: Path) -> None:
    header = "ply\nformat binary_big_endian 1.0\nelement vertex 4\n"
    header += "".join(f"property double {axis}\n" for axis in "xyz")
    header += "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    face = b"\x04" + np.arange(4, dtype=">i4").tobytes()
    (tmp_path / "a.ply").write_bytes(header.encode() + VERTICES.astype(">f8").tobytes() + face)
    np.testing.assert_array_equal(files.mesh(tmp_path / "a.ply").triangles, TRIANGLES)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "\n".join(f"{x} {y} {z}" for x, y, z in POINTS)),
        ("b.txt", "\n".join(f"{x}, {y}, {z}" for x, y, z in POINTS) + "\n"),
        ("a.lnd", "\n".join(f"{i + 1} {x} {y} {z}" for i, (x, y, z) in enumerate(POINTS))),
        (
            "a.pp",
            "<PickedPoints>\n"
            + "\n".join(f'<point y="{y}" x="{x}" z="{z}" active="1"/>' for x, y, z in POINTS),
        ),
    ],
)
def test_landmarks_as_text(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    np.testing.assert_array_equal(files.landmarks(tmp_path / name), POINTS)


def test_landmarks_as_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", POINTS.astype(np.float32))
    np.testing.assert_array_equal(files.landmarks(tmp_path / "a.npy"), POINTS)


@pytest.mark.parametrize(
    "content",
    ["", "v 1 2\n", "v 1 2 x\n", "v nan 0 0\n", "v 0 0 0\nf 1 2 9\n", "ply\n", "ply\nend_header\n"],
)
def test_what_is_no_mesh_is_one_line_with_the_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.obj"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"broken\.obj: not a sound mesh") as caught:
        files.mesh(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_landmarks_is_one_line_with_the_name(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", POINTS[:5])
    with pytest.raises(ValueError, match=r"a\.npy: it holds 5 x 3 numbers"):
        files.landmarks(tmp_path / "a.npy")
    (tmp_path / "b.txt").write_text("1 2 3\n1 2\n")
    with pytest.raises(ValueError, match=r"b\.txt: cannot be read as landmarks"):
        files.landmarks(tmp_path / "b.txt")
    np.save(tmp_path / "c.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"c\.npy: cannot be read as landmarks"):
        files.landmarks(tmp_path / "c.npy")
    with pytest.raises(ValueError, match="No such file"):
        files.mesh(tmp_path / "none.obj")
