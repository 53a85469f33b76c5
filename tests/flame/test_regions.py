"""What is known of a head's surface, and our own file of a head."""

import dataclasses
import hashlib
import io
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest

from ofer_jax import flame
from ofer_jax.flame import facemesh
from tests import flame_files

FRONT = np.array([7, 3, 399, 12])
MASKS = {"face": [5, 6, 7], "left_eyeball": [1, 2], "right_eyeball": [3], "neck": [0]}


@pytest.fixture
def written(model, tmp_path):
    return flame_files.write(tmp_path / "flame", model, masks=MASKS, front=FRONT)


def test_masks_and_front_face_are_found_beside_the_model(written):
    for path in (written, written.parent):
        known = flame.surface(path)
        assert known["region_face"].tolist() == [5, 6, 7]
        assert known["region_front"].tolist() == FRONT.tolist()  # in the file's order
        assert known["region_eyes"].tolist() == [1, 2, 3]
        assert known["region_left_eye"].dtype == np.int64
        assert "region_lips" not in known


def test_without_masks_the_front_face_is_the_face(written):
    (written.parent / flame_files.MASKS).unlink()
    np.testing.assert_array_equal(flame.surface(written)["region_face"], FRONT)


def test_nothing_beside_the_model_is_nothing_known(model, tmp_path):
    path = flame_files.write(tmp_path, model, landmarks=False)
    assert flame.surface(path) == {}


def test_facemesh_points_are_the_inner_landmarks(written, model):
    known = flame.surface(written)
    vertices = flame.vertices(model)
    index, bary = known["mesh_faces_idx"][None], known["mesh_bary_coords"][None]
    points = flame.surface_points(model.faces, vertices, index, bary)
    inner = flame.contour_landmarks(model, vertices)[0, 17:]
    np.testing.assert_allclose(points[0][np.array(facemesh.INNER)], inner, atol=1e-7)
    assert points.shape == (1, 468, 3)
    assert known["mesh_weight"].sum() == 51
    assert known["mesh_weight"][facemesh.INNER].all()


@pytest.mark.parametrize("text", ["7 3\n399 12\n", "7,3,399,12", "7\n3\n399\n12"])
def test_a_front_face_as_text(written, tmp_path, text):
    (path := tmp_path / "mine.txt").write_text(text)
    assert flame.surface(written, front=path)["region_front"].tolist() == FRONT.tolist()


def npy(tmp_path, array):
    np.save(tmp_path / "front.npy", array)
    return tmp_path / "front.npy"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: npy(p, np.array([1, 400])), r"must lie in 0\.\.399; found 1\.\.400"),
        (lambda p: npy(p, np.array([-1, 3])), r"must lie in 0\.\.399; found -1\.\.3"),
        (lambda p: npy(p, np.array([3, 3])), "names a vertex twice"),
        (lambda p: npy(p, np.array([], int)), "region_front has shape"),
        (lambda p: npy(p, np.array([1.5])), r"shape \(1,\) and type float64"),
        (lambda p: npy(p, np.array([{}], object)), "an array of objects"),
    ],
)
def test_a_wrong_front_face_is_one_line(written, tmp_path, make, message):
    path = make(tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        flame.surface(written, front=path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", [b"", b"1 2 three", b"\xff\xfe", b"9" * 30])
def test_a_damaged_front_face_is_one_line(written, tmp_path, damage):
    for name in ("front.txt", "front.npy"):
        (path := tmp_path / name).write_bytes(damage)
        with pytest.raises(ValueError, match="is not a list of vertex numbers") as caught:
            flame.surface(written, front=path)
        assert "\n" not in str(caught.value)


def test_a_front_face_that_claims_more_than_it_holds_is_one_line(written, tmp_path):
    path = npy(tmp_path, np.arange(10))
    path.write_bytes(path.read_bytes().replace(b"(10,), }      ", b"(10000000000,)}"))
    with pytest.raises(ValueError, match="buffer is too small"):
        flame.surface(written, front=path)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"face": np.array([400])}, "region_face must lie in"),
        ({"face": "text"}, "str is not an array"),
        ({"neck": np.array([1])}, "named 'face'"),
        ([1], "named 'face'"),
    ],
)
def test_wrong_masks_are_one_line(written, tmp_path, stored, message):
    (path := tmp_path / "masks.pkl").write_bytes(pickle.dumps(stored, 2))
    with pytest.raises(ValueError, match=f"{path} is not FLAME's masks: .*{message}"):
        flame.surface(written, masks=path)


def test_a_missing_file_is_named(written):
    for what in ("landmarks", "masks", "front"):
        with pytest.raises(FileNotFoundError, match="nothing"):
            flame.surface(written, **{what: "nothing"})


def test_a_saved_head_comes_back_as_the_same_head(written, tmp_path):
    model, known = flame.load(written), flame.surface(written)
    flame.save(tmp_path / "new" / "head.npz", model, known)
    back = flame.load(tmp_path / "new" / "head.npz")
    assert model.sha256 == hashlib.sha256(written.read_bytes()).hexdigest()
    assert (back.identity, back.parents) == (model.identity, model.parents)
    assert back.release == "FLAME 2020"
    for field in dataclasses.fields(model):
        np.testing.assert_array_equal(getattr(back, field.name), getattr(model, field.name))
    again = flame.surface(tmp_path / "new")
    assert again.keys() == known.keys()
    for key, value in known.items():
        np.testing.assert_array_equal(again[key], value)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["head.npz"]


def test_a_head_without_landmarks_is_saved_without(model, tmp_path):
    bare = flame.load(flame_files.write(tmp_path, model, landmarks=False))
    flame.save(tmp_path / "head.npz", bare)
    back = flame.load(tmp_path / "head.npz")
    assert back.full_lmk_faces_idx.shape == (0,)
    assert flame.surface(tmp_path / "head.npz") == {}


def test_a_head_is_saved_as_npz_only(model, tmp_path):
    (path := tmp_path / "generic_model.pkl").write_bytes(b"the user's own")
    with pytest.raises(ValueError, match=r"written as \.npz"):
        flame.save(path, model)
    assert path.read_bytes() == b"the user's own"
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot be written"):
        flame.save(tmp_path / "file" / "head.npz", model)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"region_face": np.array([400])}, "region_face must lie in"),
        ({"region_front": np.array([0.5])}, "region_front has shape"),
        ({"mesh_weight": np.zeros(3)}, "mesh_weight has shape"),
        ({"mesh_weight": np.full(468, np.nan)}, "mesh_weight holds values that are not finite"),
        ({"material": np.zeros(3, int)}, r"material has shape \(3,\)"),
        ({"material": np.zeros(722, int)}, "material_names do not name"),
        ({"mesh_faces_idx": np.full(468, 722)}, r"mesh_faces_idx must lie in 0\.\.721"),
    ],
)
def test_a_stored_surface_that_does_not_fit_is_one_line(model, tmp_path, wrong, message):
    flame.save(path := tmp_path / "head.npz", model, wrong)
    with pytest.raises(ValueError, match=f"{path}: {message}"):
        flame.surface(path)


@pytest.mark.parametrize(
    ("key", "value"), [("source_sha256", "x"), ("release", 3), ("name", "a\nb")]
)
def test_a_strange_record_in_a_head_is_one_line(arrays, tmp_path, key, value):
    np.savez(tmp_path / "head.npz", **{**arrays, key: np.array(value)})
    with pytest.raises(ValueError, match=rf"head\.npz: {key} is not"):
        flame.load(tmp_path / "head.npz")


def test_materials_are_kept(model, tmp_path):
    known = {"material": np.arange(722) % 2, "material_names": np.array(["skin", "lips"])}
    flame.save(tmp_path / "head.npz", model, known)
    assert flame.surface(tmp_path / "head.npz")["material_names"].tolist() == ["skin", "lips"]


def test_an_array_that_claims_10_gb_takes_no_memory(arrays, tmp_path):
    np.savez(path := tmp_path / "head.npz", **arrays)
    honest, claim = b"'shape': (400, 3), }        ", b"'shape': (400000000, 3), }  "
    data = path.read_bytes()
    with zipfile.ZipFile(path, "w") as archive, zipfile.ZipFile(io.BytesIO(data)) as old:
        for name in old.namelist():
            archive.writestr(name, old.read(name).replace(honest, claim))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"is not a head model in \.npz form: .*buffer is too"):
        flame.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_an_archive_that_would_fill_the_memory_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(flame.io, "_MAX_BYTES", 1 << 20)
    np.savez_compressed(tmp_path / "bomb.npz", v_template=np.zeros((1 << 20, 3)))
    assert (tmp_path / "bomb.npz").stat().st_size < 1 << 20
    with pytest.raises(ValueError, match=r"is not a head model .* unpacks to 25165952 bytes"):
        flame.load(tmp_path / "bomb.npz")
