"""Folders of registered meshes to files of coefficients: rejections, resume, the sheet."""

import json

import numpy as np
import pytest
import trimesh

from data_pipelines import fit_sheet, fits, sets
from data_pipelines.sets import Mesh
from ofer_jax import flame

MM = 1e-3


@pytest.fixture(scope="module")
def weights(head) -> np.ndarray:
    out = np.zeros(head.num_vertices)
    out[::7] = 1
    return out


@pytest.fixture(scope="module")
def folder(head, tmp_path_factory):
    """Two people, three frames each, and six files with a fault."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("meshes")
    triangles = np.asarray(head.faces)

    def write(name: str, vertices: np.ndarray, faces: np.ndarray = triangles) -> Mesh:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        trimesh.Trimesh(vertices, faces, process=False).export(path)
        subject, sequence, frame = path.with_suffix("").parts[-3:]
        return Mesh("famos", subject, sequence, frame, str(path))

    meshes = []
    for subject in ("ann", "bob"):
        shape = np.repeat(rng.normal(size=(1, 300)), 3, 0).astype(np.float32)
        jaw = rng.normal(0, 0.1, (3, 3)).astype(np.float32)
        made = np.asarray(flame.vertices(head, shape=shape, jaw=jaw))
        suffix = "obj" if subject == "bob" else "ply"
        meshes += [write(f"{subject}/talk/{i}.{suffix}", v + 0.2) for i, v in enumerate(made)]
    good = made[0]
    holes = good.copy()
    holes[7] = np.nan
    turned = triangles[:, ::-1] - triangles.min()
    bad = {
        "millimetres": write("cid/a/0.ply", 1000 * good),
        "5022 vertices": write("cid/a/1.ply", good[:-1], triangles[(triangles < 5022).all(1)]),
        "not finite": write("cid/a/2.ply", holes),
        "triangles": write("cid/a/3.ply", good, (turned * 7 + [0, 1, 2]) % 5023),
        "above 2 mm": write("cid/a/4.ply", good[::-1]),
        "cannot be read": write("cid/a/5.ply", good),
    }
    (root / "cid/a/5.ply").write_bytes(b"ply\nformat binary_little_endian 1.0\nelement vertex 9")
    return meshes, bad


@pytest.fixture(scope="module")
def fitted(folder, head, weights, tmp_path_factory):
    out = tmp_path_factory.mktemp("fits")
    meshes, bad = folder
    summary = fits.run([*meshes, *bad.values()], head, out, fits.Options(), weights)
    return out, summary


def test_fits_are_parameter_files_that_reproduce_the_meshes(folder, head, fitted):
    out, summary = fitted
    for mesh in folder[0]:
        path = sets.fit_path(out, mesh)
        with np.load(path, allow_pickle=False) as row:
            sizes = {key: row[key].shape for key in ("shape", "exp", "pose", "trans")}
        assert sizes == {"shape": (300,), "exp": (100,), "pose": (15,), "trans": (3,)}
        apart = np.abs(fit_sheet.vertices(head, path) - fits.read(mesh.path)[0])
        assert apart.mean() < 0.05 * MM and apart.max() < MM
    assert summary["fitted"] == 6 and summary["rejected"] == 6
    assert summary["worst_mm"] < 0.1


def test_the_shape_is_a_persons(folder, fitted):
    shapes = [np.load(sets.fit_path(fitted[0], mesh))["shape"] for mesh in folder[0]]
    np.testing.assert_array_equal(shapes[0], shapes[2])
    assert np.abs(shapes[0] - shapes[3]).max() > 0.1


def test_each_fault_is_told_and_nothing_else(folder, fitted):
    lines = [json.loads(line) for line in (fitted[0] / "rejected.jsonl").read_text().splitlines()]
    told = {line["source"]: line["reason"] for line in lines}
    assert told.keys() == {mesh.path for mesh in folder[1].values()}
    for reason, mesh in folder[1].items():
        assert reason in told[mesh.path]
    listed = (fitted[0] / "fits.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in listed] == ["0", "1", "2"] * 2


def test_a_rerun_makes_what_is_missing_and_nothing_else(folder, head, weights, fitted):
    out, summary = fitted
    paths = [sets.fit_path(out, mesh) for mesh in folder[0]]
    before = [(path.stat().st_mtime_ns, path.read_bytes()) for path in paths]
    paths[1].unlink()
    meshes = [*folder[0], *folder[1].values()]
    again = fits.run(meshes, head, out, fits.Options(), weights)
    assert again == summary
    after = [(path.stat().st_mtime_ns, path.read_bytes()) for path in paths]
    assert after[0] == before[0] and after[2:] == before[2:]
    with np.load(paths[1]) as row:
        np.testing.assert_allclose(row["mean_residual"], 0, atol=0.1 * MM)


def test_other_settings_need_another_folder(folder, head, weights, fitted):
    with pytest.raises(ValueError, match="other settings"):
        fits.run(folder[0], head, fitted[0], fits.Options(unit=0.001), weights)
    with pytest.raises(ValueError, match="other settings"):  # as many vertices, but others
        fits.run(folder[0], head, fitted[0], fits.Options(), weights[::-1])
    with pytest.raises(ValueError, match="weights has shape"):
        fits.run(folder[0], head, fitted[0] / "new", fits.Options(), weights[1:])
    assert not (fitted[0] / "new").exists()


def test_a_sheet_shows_each_fit(folder, head, fitted):
    page = fit_sheet.draw(folder[0], head, fitted[0], 1.0, 2)
    assert page.shape[1] > 6 * fit_sheet.SIDE and page.std() > 20
