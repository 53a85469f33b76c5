"""`ofer flame`: what it says of a user's files, and the one file it makes of them."""

import hashlib

import numpy as np
import pytest

from ofer_jax import cli, flame
from tests import flame_files, toy, untrained

MASKS = {"face": np.arange(1787), "left_eyeball": np.arange(4000, 4100)}


@pytest.fixture(scope="module")
def user(tmp_path_factory):
    """The whole set of a user's files."""
    head = untrained.head()
    folder = tmp_path_factory.mktemp("user")
    flame_files.write(folder, head, masks=MASKS, front=np.arange(1785)[::-1])
    return folder


@pytest.fixture
def run(capsys):
    """Runs `ofer flame ...`; returns (status, stdout lines, stderr lines)."""

    def call(*arguments):
        status = cli.main(["flame", *map(str, arguments)])
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err.splitlines()

    return call


def test_a_whole_set_of_files_is_described(run, user):
    status, lines, errors = run("check", user)
    assert (status, errors) == (0, [])
    report = {line[:13].strip(): line[13:] for line in lines}
    digest = hashlib.sha256((user / "generic_model.pkl").read_bytes()).hexdigest()
    assert report["model"] == "generic_model.pkl"
    assert report["release"] == "FLAME 2020 (by its name)"
    assert report["components"].startswith("5023 vertices, 9904 triangles, 300 shape and 100 ")
    assert report["components"].endswith("5 joints")
    assert report["note"] == (
        "FLAME's own has 5023 vertices, 9976 triangles, 300 shape and 100 expression coefficients"
    )
    assert report["SHA-256"] == digest
    assert report["landmarks"] == "68 points (landmark_embedding.npy)"
    assert report["face region"] == "1787 vertices (FLAME_masks.pkl)"
    assert report["front face"] == "1785 vertices (front_1785.npy)"
    assert "is all that `ofer reconstruct` and training need" in lines[-1]


def test_what_is_missing_is_said_with_where_to_get_it(run, tmp_path):
    flame_files.write(tmp_path, untrained.head(), name="FLAME_NEUTRAL.pkl", landmarks=False)
    status, lines, _ = run("check", tmp_path)
    assert status == 0
    said = "\n".join(lines)
    for file in ("landmark_embedding.npy", "FLAME_masks.pkl"):
        assert f"missing: {file}; register at https://flame.is.tue.mpg.de" in said
    assert "missing: the file of its 1785 vertex numbers; it comes with OFER's release" in said
    assert "not told by its name; say --release" in said
    assert "need what is missing" in lines[-1]


def test_a_release_can_be_said(run, user):
    _, lines, _ = run("check", user, "--release", "2023 open")
    assert "release      FLAME 2023 Open (as you say)" in lines


def test_convert_makes_one_file_that_is_the_same_head(run, user, tmp_path):
    out = tmp_path / "new" / "head.npz"
    status, lines, errors = run("convert", user, out, "--release", "2023")
    assert (status, errors) == (0, [])
    assert lines[0].startswith(f"{out}: ") and lines[0].endswith(" MB, holds")
    model, known = flame.load(out), flame.surface(out)
    assert model.identity == {**flame.load(user).identity, "release": "FLAME 2023"}
    assert known["region_front"].tolist() == list(range(1785))[::-1]
    assert known["region_left_eye"].tolist() == MASKS["left_eyeball"].tolist()
    status, again, _ = run("check", out)
    assert (status, again[1]) == (0, "release      FLAME 2023 (recorded)")
    assert again[-1] == lines[-1]


def test_more_files_can_be_named(run, user, tmp_path):
    (tmp_path / "mine.txt").write_text("3 1 2")
    _, lines, _ = run("check", user, "--front", tmp_path / "mine.txt")
    assert "front face   3 vertices (mine.txt)" in lines


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p / "nothing", "no head model at"),
        (lambda p: p, "holds no head model"),
        (lambda p: p / ("x" * 5000), "File name too long"),
        (lambda p: _file(p / "m.pkl", b"cos\nsystem\n."), "'os.system' is refused"),
        (lambda p: _file(p / "m.pkl", b"\x80\x02}q\x00."), "'v_template' is missing"),
        (lambda p: _file(p / "m.npz", b"PK"), "is not a head model in .npz form"),
        (lambda p: _file(p / "photo.jpg", b"JFIF"), "is not a head model in .npz form"),
    ],
)
def test_what_is_no_model_is_one_line_and_status_2(run, tmp_path, make, message):
    for action in (["check"], ["convert"]):
        out = [tmp_path / "out.npz"] if action == ["convert"] else []
        status, printed, errors = run(*action, make(tmp_path), *out)
        assert (status, printed, len(errors)) == (2, [], 1)
        assert errors[0].startswith("ofer: ") and message in errors[0]
        assert not (tmp_path / "out.npz").exists()


def _file(path, data):
    path.write_bytes(data)
    return path


def test_a_broken_file_beside_the_model_is_one_line(run, tmp_path):
    flame_files.write(tmp_path, untrained.head())
    (tmp_path / "FLAME_masks.pkl").write_bytes(b"nothing")
    status, printed, errors = run("check", tmp_path)
    assert (status, printed, len(errors)) == (2, [], 1)
    assert "FLAME_masks.pkl is not FLAME's masks" in errors[0]


def test_a_model_is_never_written_over(run, user):
    before = (user / "generic_model.pkl").read_bytes()
    status, _, errors = run("convert", user, user / "generic_model.pkl")
    assert (status, len(errors)) == (2, 1)
    assert (user / "generic_model.pkl").read_bytes() == before


def test_another_heads_sizes_are_noted(run, tmp_path):
    flame.save(tmp_path / "toy.npz", toy.head())
    status, lines, _ = run("check", tmp_path)
    assert status == 0
    assert any(line.startswith("note         FLAME's own has 5023 vertices") for line in lines)


def test_the_help_is_short_and_names_the_actions(capsys):
    with pytest.raises(SystemExit):
        cli.main(["flame", "--help"])
    text = capsys.readouterr().out
    assert "check" in text and "convert" in text and len(text.splitlines()) < 16
