"""What is found beside a model, and which release its name tells."""

import dataclasses

import numpy as np
import pytest

from ofer_jax import flame
from ofer_jax.flame import files, releases
from tests import flame_files


@pytest.mark.parametrize(
    ("name", "release"),
    [
        *((file.removesuffix(".pkl"), release) for release, file in flame_files.MODELS.items()),
        ("FLAME2023-open", "FLAME 2023 Open"),
        ("flame_2023_No_Jaw", "FLAME 2023 without jaw"),
        ("FLAME_NEUTRAL", ""),
        ("flame2023_edited", ""),
        ("my_flame2023", ""),
        ("female_model", ""),
        ("open-head-1", "open-head-1"),
    ],
)
def test_a_file_name_tells_its_release_or_nothing(name, release):
    assert releases.told(name) == release


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("2020", "FLAME 2020"),
        ("flame 2023 OPEN", "FLAME 2023 Open"),
        ("2023_no_jaw", "FLAME 2023 without jaw"),
        ("FLAME 2023 without jaw", "FLAME 2023 without jaw"),
        (" FLAME 2019 ", "FLAME 2019"),
    ],
)
def test_a_user_names_a_release_shortly_or_freely(text, release):
    assert releases.said(text) == release


@pytest.mark.parametrize("text", ["", "  ", "x" * 41, "FLAME\n2020"])
def test_a_strange_release_is_one_line(text):
    with pytest.raises(ValueError, match="a release is named in 1 to 40 letters") as caught:
        releases.said(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("release", "name"), flame_files.MODELS.items())
def test_every_release_is_read_and_told(model, tmp_path, release, name):
    path = flame_files.write(tmp_path, model, name=name)
    read = flame.load(path)
    assert (read.release, read.name) == (release, path.stem)
    np.testing.assert_array_equal(read.exprdirs, model.exprdirs)
    np.testing.assert_array_equal(read.lmk_faces_idx, model.lmk_faces_idx)
    assert flame.load(path, release="my own").release == "my own"


def test_a_folder_stands_for_its_model_and_what_lies_beside_it(model, tmp_path):
    path = flame_files.write(tmp_path, model, masks={"face": [1]}, front=[2])
    (tmp_path / "FLAME_texture.npz").touch()
    (tmp_path / "Readme.txt").touch()
    found = files.find(tmp_path)
    assert found == files.find(path)
    assert found == files.Files(
        path,
        tmp_path / flame_files.EMBEDDING,
        tmp_path / flame_files.MASKS,
        tmp_path / flame_files.FRONT,
    )


def test_capitals_change_nothing(model, tmp_path):
    path = flame_files.write(tmp_path, model, masks={"face": [1]}, front=[2])
    for beside in list(tmp_path.iterdir()):
        beside.rename(beside.with_suffix(beside.suffix.upper()))
    read, surface = flame.load(tmp_path), flame.surface(tmp_path)
    assert read.name == path.stem
    np.testing.assert_array_equal(read.lmk_faces_idx, model.lmk_faces_idx)
    assert surface["region_face"].tolist() == [1] and surface["region_front"].tolist() == [2]


def test_what_is_given_goes_first(model, tmp_path):
    flame_files.write(tmp_path, model, front=[2])
    given = files.find(tmp_path, "a.npy", "b.pkl", "c.txt")
    assert [p.name for p in (given.landmarks, given.masks, given.front)] == [
        "a.npy",
        "b.pkl",
        "c.txt",
    ]


def test_beside_our_own_file_nothing_is_looked_for(model, tmp_path):
    path = flame_files.write(tmp_path, model, masks={"face": [1]}, front=[2])
    path.unlink()
    flame.save(tmp_path / "head.npz", model)
    assert files.find(tmp_path) == files.Files(tmp_path / "head.npz")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "holds no head model"),
        (["FLAME_masks.pkl", "notes.txt"], "holds no head model"),
        (["female_model.pkl", "generic_model.pkl"], "female_model.pkl, generic_model.pkl; give"),
        (["a.pkl", "front.npy", "valid.txt"], r"front.npy, valid.txt could each be .*--front"),
        ([f"{i:02}.pkl" for i in range(30)], "07.pkl and 22 more; give the path of one"),
    ],
)
def test_a_folder_that_leaves_the_choice_open_is_one_line(tmp_path, names, message):
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=message) as caught:
        files.find(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("v_template", np.nan, "v_template holds values that are not finite"),
        ("exprdirs", np.inf, "exprdirs holds values that are not finite"),
        ("faces", 400, r"faces must lie in 0\.\.399"),
        ("lmk_faces_idx", 722, r"lmk_faces_idx must lie in 0\.\.721"),
        ("dynamic_lmk_bary_coords", np.nan, "dynamic_lmk_bary_coords holds values that"),
    ],
)
def test_a_flame_file_with_a_wrong_number_is_one_line(model, tmp_path, field, value, message):
    spoilt = np.array(getattr(model, field))
    spoilt.flat[7] = value
    path = flame_files.write(tmp_path, dataclasses.replace(model, **{field: spoilt}))
    with pytest.raises(ValueError, match=f"{path}: {message}") as caught:
        flame.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "cut", "message"),
    [
        ("posedirs", np.s_[..., :27], r"posedirs has shape \(400, 3, 27\), expected"),
        ("lbs_weights", np.s_[:399], r"lbs_weights has shape \(399, 5\), expected \(400, 5\)"),
        ("J_regressor", np.s_[:4], r"J_regressor has shape \(4, 400\), expected \(5, 400\)"),
        ("lmk_bary_coords", np.s_[:50], r"lmk_bary_coords has shape \(50, 3\), expected \(51, 3\)"),
        ("dynamic_lmk_faces_idx", np.s_[:78], r"has shape \(78, 17\), expected \(79, 17\)"),
    ],
)
def test_a_flame_file_of_a_wrong_shape_is_one_line(model, tmp_path, field, cut, message):
    short = dataclasses.replace(model, **{field: np.asarray(getattr(model, field))[cut]})
    path = flame_files.write(tmp_path, short)
    with pytest.raises(ValueError, match=f"{path}: .*{message}"):
        flame.load(path)
