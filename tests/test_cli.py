"""The command: what it writes, what it says of bad input, and its exit status."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from ofer_jax import bundle, cli, reconstruct, report, sheet
from tests import untrained

PHOTOS = Path(__file__).resolve().parents[1] / "launch" / "demo_photos"
ASTRONAUT = PHOTOS / "astronaut.jpg"


@pytest.fixture(scope="module")
def bundle_folder(tmp_path_factory) -> Path:
    return untrained.save(tmp_path_factory.mktemp("cli") / "bundle")


@pytest.fixture(scope="module")
def load(bundle_folder):
    """`reconstruct.load`, which compiles for the good bundle only once."""
    original = reconstruct.load
    made = original(bundle_folder)
    return lambda path, head, *rest: (
        made if (path, head) == (bundle_folder, None) else original(path, head, *rest)
    )


@pytest.fixture
def run(monkeypatch, capsys, bundle_folder, load):
    """Runs `ofer reconstruct ...`; returns (status, stdout lines, stderr lines)."""
    monkeypatch.setattr(reconstruct, "load", load)

    def call(*arguments, quick=True):
        few = ["--shapes", "4", "--expressions", "2", "--format", "ply"] if quick else []
        if "--bundle" not in arguments:
            few += ["--bundle", str(bundle_folder)]
        status = cli.main(["reconstruct", *map(str, arguments), *few])
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err.splitlines()

    return call


def _complaints(lines: list[str]) -> list[str]:
    """stderr without the progress bar."""
    return [line for line in lines if line.startswith("ofer: ")]


def test_one_photograph_leaves_a_whole_folder(run, tmp_path):
    out = tmp_path / "new" / "out"
    status, printed, errors = run(ASTRONAUT, "--out", out, "--seed", "3")
    assert (status, errors) == (0, [])
    assert str(out / "astronaut" / "sheet.png") in printed[0]
    folder = out / "astronaut"
    record = json.loads((folder / "result.json").read_text())
    on_disk = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert on_disk == {*record["files"], "result.json"}
    assert on_disk >= {
        "sheet.png",
        "result.npz",
        "meshes/identity-4.ply",
        "meshes/mean.ply",
        "meshes/expression-02.ply",
    }
    assert record["schema"] == 1
    assert record["seed"] == 3
    assert record["command"].startswith("ofer reconstruct ")
    assert record["head"]["name"].startswith("open-head")
    assert [s["rank"] for s in record["shapes"]] == [1, 2, 3, 4]
    assert len(record["shapes"][0]["coefficients"]) == 300
    assert np.shape(record["landmarks"]["points"]) == (68, 3)
    assert np.shape(record["landmarks"]["pixels"]) == (68, 2)
    with np.load(folder / "result.npz", allow_pickle=False) as stored:
        np.testing.assert_allclose(
            stored["shapes"][0], record["shapes"][0]["coefficients"], rtol=1e-5, atol=1e-9
        )
        np.testing.assert_allclose(stored["mean_shape"], stored["shapes"].mean(0), atol=1e-6)
        np.testing.assert_allclose(stored["mean_shape"], record["mean_shape"], rtol=1e-5, atol=1e-9)
        mean = trimesh.load(folder / "meshes" / "mean.ply", process=False)
        np.testing.assert_allclose(mean.vertices, stored["mean_vertices"], atol=1e-6)
        assert str(stored["head_sha256"]) == record["head"]["sha256"]
        assert str(stored["head_release"]) == record["head"]["release"] == "open-head-1"
        assert stored["vertices"].shape == (5023, 3)
    with Image.open(folder / "sheet.png") as sheet:
        assert sheet.size[0] == 1600
        assert np.asarray(sheet).std() > 20


def test_a_rerun_replaces_its_own_files_only(run, tmp_path):
    run(ASTRONAUT, "--out", tmp_path)
    folder = tmp_path / "astronaut"
    (folder / "mine.txt").write_text("keep")
    (folder / "meshes" / "identity-9.stl").write_text("keep")
    again = ("--shapes", "4", "--expressions", "2", "--format", "obj")
    assert run(ASTRONAUT, "--out", tmp_path, *again, quick=False)[0] == 0
    left = sorted(p.name for p in (folder / "meshes").iterdir())
    assert left == [
        *(f"expression-0{i}.obj" for i in (1, 2)),
        *(f"identity-{i}.obj" for i in (1, 2, 3, 4)),
        "identity-9.stl",
        "mean.obj",
    ]
    assert (folder / "mine.txt").read_text() == "keep"
    assert not [p for p in folder.iterdir() if p.name.startswith(".")]


def _write_bad_photographs(folder: Path) -> dict[str, str]:
    """File name -> what its line must say."""
    (folder / "text.jpg").write_text("no picture")
    (folder / "cut.jpg").write_bytes(ASTRONAUT.read_bytes()[:9000])
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    Image.new("1", (12_000, 10_000)).save(folder / "bomb.png")
    Image.new("RGB", (300, 300), (90, 140, 200)).save(folder / "sky.png")
    return {
        "text.jpg": "not a picture",
        "cut.jpg": "damaged",
        "dot.png": "1 x 1",
        "bomb.png": "100 megapixels",
        "sky.png": "no face",
        "missing.jpg": "no such file",
    }


def test_bad_photographs_get_one_line_each_and_the_others_run(run, tmp_path):
    photographs = tmp_path / "photos"
    photographs.mkdir()
    expected = _write_bad_photographs(photographs)
    out = tmp_path / "out"
    status, printed, errors = run(photographs, photographs / "missing.jpg", ASTRONAUT, "--out", out)
    assert status == 2
    assert len(printed) == 1
    lines = _complaints(errors)
    assert len(lines) == len(expected) + 1  # and the count at the end
    for name, words in expected.items():
        (line,) = [line for line in lines if name in line]
        assert words in line
    assert "1 reconstructed, 6 at fault" in lines[-1]
    assert [p.name for p in out.iterdir()] == ["astronaut"]


def _write_odd_photographs(folder: Path) -> list[str]:
    """Unusual but good pictures of one face."""
    image = Image.open(ASTRONAUT).convert("RGB")
    image.convert("L").save(folder / "grey.png")
    image.convert("RGBA").save(folder / "rgba.png")
    image.convert("CMYK").save(folder / "cmyk.jpg")
    deep = np.asarray(image.convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / "sixteen.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.jpg", exif=exif)
    image.resize((7200, 7200)).save(folder / "huge.jpg", quality=70)
    return ["cmyk", "grey", "huge", "rgba", "sixteen", "turned"]


def test_odd_photographs_are_reconstructed(run, tmp_path):
    photographs = tmp_path / "photos"
    photographs.mkdir()
    names = _write_odd_photographs(photographs)
    status, printed, _ = run(photographs, "--out", tmp_path / "out")
    assert status == 0
    assert len(printed) == len(names)
    eyes = {}
    for name in names:
        record = json.loads((tmp_path / "out" / name / "result.json").read_text())
        size = np.array([record["photo"]["width"], record["photo"]["height"]])
        eyes[name] = np.mean(record["landmarks"]["pixels"][36:48], axis=0) / size
    assert np.ptp(list(eyes.values()), axis=0).max() < 0.02  # upright, whole, in the same place


def test_several_faces_and_equal_names(run, tmp_path):
    face = Image.open(ASTRONAUT).crop((110, 0, 340, 230)).resize((300, 300))
    both = np.concatenate([np.asarray(face)] * 2, axis=1)
    for sub in ("a", "b"):
        (tmp_path / sub).mkdir()
        Image.fromarray(both).save(tmp_path / sub / "two.png")
    files = [tmp_path / "a" / "two.png", tmp_path / "b" / "two.png"]
    status, printed, _ = run(*files, "--out", tmp_path / "out")
    assert status == 0
    assert "2 faces found" in printed[0]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["two", "two-2"]
    run(files[0], "--out", tmp_path / "all", "--all-faces")
    assert sorted(p.name for p in (tmp_path / "all").iterdir()) == ["two-face1", "two-face2"]


def test_folder_without_pictures(run, tmp_path):
    status, printed, errors = run(tmp_path, "--out", tmp_path / "out")
    assert (status, printed, len(errors)) == (2, [], 1)
    assert "without pictures" in errors[0]


def test_output_folder_that_cannot_be_written(run, tmp_path):
    (tmp_path / "file").touch()
    status, printed, errors = run(ASTRONAUT, "--out", tmp_path / "file" / "out")
    assert (status, printed, len(errors)) == (2, [], 1)
    assert "cannot be written" in errors[0]


def _damage_weights(folder: Path) -> None:
    path = folder / "params.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _damage_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"format": 1')


def _other_head(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["head"] = {"name": "another", "sha256": "0" * 64}
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_damage_weights, "damaged"),
        (_damage_config, "damaged"),
        (_other_head, "trained on head 'another'"),
        (lambda folder: (folder / "params.safetensors").unlink(), "params.safetensors"),
    ],
    ids=["weights", "config", "head", "missing"],
)
def test_bad_bundles(run, tmp_path, bundle_folder, change, words):
    folder = tmp_path / "bundle"
    bundle.save(bundle.load(bundle_folder), folder)
    change(folder)
    status, printed, errors = run(ASTRONAUT, "--out", tmp_path / "out", "--bundle", folder)
    assert (status, printed, len(errors)) == (2, [], 1)
    assert words in errors[0]


@pytest.mark.parametrize("name", ["head.npz", "missing.npz"])
def test_a_bad_head_file(run, tmp_path, name):
    (tmp_path / "head.npz").write_text("nothing")
    status, _, errors = run(ASTRONAUT, "--out", tmp_path / "out", "--head", tmp_path / name)
    assert (status, len(errors)) == (2, 1)
    assert name in errors[0]


@pytest.mark.parametrize(
    "arguments",
    [["reconstruct"], ["--shapes", "0"], ["--format", "stl"], ["--seed", "-1"], ["nonsense"]],
)
def test_errors_of_usage(arguments, capsys):
    if arguments[0].startswith("--"):
        arguments = ["reconstruct", "a.jpg", *arguments]
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["reconstruct", "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for option in ("--out", "--shapes", "--expressions", "--format", "--seed", "--all-faces"):
        assert option in text
    assert "the mean of all shapes (mean), the best single guess" in text


def test_folder_names_are_sound_and_differ(tmp_path):
    taken: set[Path] = set()
    names = [
        report.unused_folder(tmp_path, stem, taken).name for stem in ("a", "a", ".", "..", "a")
    ]
    assert names == ["a", "a-2", "photo", "photo-2", "a-3"]


def test_long_and_foreign_names_fit_on_the_page():
    font = sheet._font(38)
    fitted = sheet._fitted(sheet._plain("München/人" + "x" * 200 + "end.jpg"), font, 800)
    assert font.getlength(fitted) <= 800
    assert fitted.startswith("Mu")
    assert fitted.endswith("end.jpg")
    assert fitted.isascii()
