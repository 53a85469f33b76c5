import hashlib
import zipfile

import numpy as np
import pytest

from ofer_jax import flame


def save(path, arrays):
    np.savez(path, **arrays)
    return path


def test_keeps_every_array_and_names_the_file(arrays, tmp_path):
    path = save(tmp_path / "head.npz", arrays)
    model = flame.load(path)
    for key in ("v_template", "exprdirs", "lbs_weights", "faces", "dynamic_lmk_faces_idx"):
        np.testing.assert_allclose(getattr(model, key), arrays[key].astype(np.float32), rtol=1e-6)
    assert model.name == "made-up"
    assert model.parents == (-1, 0, 1, 1, 1)
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_name_is_the_files_if_none_is_stored(arrays, tmp_path):
    del (arrays := dict(arrays))["name"]
    assert flame.load(save(tmp_path / "some-head.npz", arrays)).name == "some-head"


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_reads_scaled_integers(arrays, tmp_path, dtype):
    basis = arrays["shapedirs"]
    scale = np.abs(basis).max(axis=(0, 1), keepdims=True) / np.iinfo(dtype).max
    packed = {**arrays, "shapedirs": np.round(basis / scale).astype(dtype)}
    packed["shapedirs_scale"] = scale.astype(np.float32)
    out = flame.load(save(tmp_path / "head.npz", packed)).shapedirs
    assert np.abs(out - basis).max() <= 0.5001 * scale.max()


def test_reads_a_sparse_regressor(arrays, tmp_path):
    packed = {key: value for key, value in arrays.items() if key != "J_regressor"}
    rows, cols = np.nonzero(arrays["J_regressor"])
    packed["J_regressor_rows"], packed["J_regressor_cols"] = rows, cols
    packed["J_regressor_vals"] = arrays["J_regressor"][rows, cols]
    out = flame.load(save(tmp_path / "head.npz", packed)).J_regressor
    np.testing.assert_array_equal(out, arrays["J_regressor"])


def nan(a):
    return np.where(np.arange(a.size).reshape(a.shape) == 5, np.nan, a)


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("faces", None, "'faces' is missing"),
        ("J_regressor", None, "'J_regressor' is missing"),
        ("posedirs", lambda a: a[..., :27], r"posedirs has shape \(400, 3, 27\)"),
        ("shapedirs", lambda a: (a * 1000).astype(np.int8), "without shapedirs_scale"),
        ("v_template", nan, "v_template holds values that are not finite"),
        ("faces", lambda a: a + 1, r"faces must lie in 0\.\.399; found 1\.\.400"),
        ("parents", lambda a: a[::-1], "must name an earlier joint"),
        ("lbs_weights", lambda a: a.astype(str), "not a number"),
    ],
)
def test_a_wrong_array_is_one_clear_line(arrays, tmp_path, key, change, message):
    arrays = dict(arrays)
    value = arrays.pop(key)
    if change:
        arrays[key] = change(value)
    path = save(tmp_path / "head.npz", arrays)
    with pytest.raises(ValueError, match=message) as caught:
        flame.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


STRANGE = {
    "a number": lambda a: np.float64(1),
    "text": lambda a: np.array("text"),
    "nothing": lambda a: np.zeros(0),
    "another dimension": lambda a: a[None],
    "fewer": lambda a: a[:-1],
    "fractions": lambda a: a.astype(np.float64) + 0.5,
    "huge": lambda a: np.full(a.shape, 2**60) if a.dtype.kind in "iu" else a * 1e300,
}


@pytest.mark.parametrize("strange", STRANGE)
def test_a_strange_array_never_gets_further_than_one_line(arrays, tmp_path, strange):
    for key in set(arrays) - {"name"}:
        with np.errstate(over="ignore", invalid="ignore"):
            changed = {**arrays, key: STRANGE[strange](arrays[key])}
        harmless = strange == "fewer" and key in ("shapedirs", "exprdirs", "faces")
        harmless |= strange == "fractions" and arrays[key].dtype.kind == "f"
        path = save(tmp_path / "head.npz", changed)
        try:
            flame.load(path)
            assert harmless, key
        except ValueError as error:
            assert str(path) in str(error) and "\n" not in str(error)


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "pickled"])
def test_a_damaged_file_is_one_clear_line(arrays, tmp_path, damage):
    path = save(tmp_path / "head.npz", arrays)
    if damage == "pickled":
        save(path, {"v_template": np.array([{}], dtype=object)})
    else:
        whole = path.read_bytes()
        path.write_bytes({"empty": b"", "text": b"hello", "truncated": whole[:9999]}[damage])
    with pytest.raises(ValueError, match="is not a head model") as caught:
        flame.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', (",
        "{'descr': '''<f4",
        "{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000, 1000000000), }",
    ],
)
def test_a_damaged_header_is_one_clear_line(arrays, tmp_path, header):
    path, text = save(tmp_path / "head.npz", arrays), header.encode()
    data = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    with zipfile.ZipFile(tmp_path / "damaged.npz", "w") as archive:
        archive.writestr("lbs_weights.npy", data)
    with pytest.raises(ValueError, match="is not a head model") as caught:
        flame.load(tmp_path / "damaged.npz")
    assert "\n" not in str(caught.value)
    (tmp_path / "landmark_embedding.npy").write_bytes(data)
    with pytest.raises(ValueError, match="is not FLAME's landmark file") as caught:
        flame.load(path, landmarks=tmp_path / "landmark_embedding.npy")
    assert "\n" not in str(caught.value)


def test_a_scale_makes_no_array_larger(arrays, tmp_path):
    packed = {**arrays, "v_template": np.ones((400, 1)), "v_template_scale": np.ones(3)}
    with pytest.raises(ValueError, match=r"v_template_scale has shape \(3,\)"):
        flame.load(save(tmp_path / "head.npz", packed))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no head model at .*nothing\.npz"):
        flame.load(tmp_path / "nothing.npz")
