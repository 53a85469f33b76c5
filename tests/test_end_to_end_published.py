"""Files in the official layouts, full size, through the commands to the faces of a photograph."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from ofer_jax import convert, faces, flame, openhead, photos
from ofer_jax.models import ArcFace, FaRL, Ranker, arcface_input, farl_input
from tests import flame_files, official_files, published

ROOT = Path(__file__).resolve().parents[1]
ASTRONAUT = ROOT / "launch" / "demo_photos" / "astronaut.jpg"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Some 2 GB, so it is removed at the end."""
    path = tmp_path_factory.mktemp("published")
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def head_folder(folder):
    head, surface = flame.load(openhead.head_path()), openhead.surface()
    flame_files.write(
        folder / "flame",
        head,
        masks={"face": surface["region_face"]},
        front=surface["region_front"][:1785],
    )
    return folder / "flame"


@pytest.fixture(scope="module")
def bundle_folder(folder, head_folder):
    files = official_files.write(folder / "ofer")
    done = run("-m", "launch.convert", "--from=ofer", *files, f"--flame={head_folder}",
               f"--out={folder / 'bundle'}")  # fmt: skip
    assert "never trained" in done.stderr  # the projections that a checkpoint lacks
    shutil.rmtree(folder / "ofer")
    return folder / "bundle"


def run(*arguments) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def reconstruct(bundle_folder, out: Path, *more) -> Path:
    """What the command writes for one photograph."""
    run("-m", "ofer_jax.cli", "reconstruct", ASTRONAUT, "--bundle", bundle_folder, "--out", out,
        "--shapes", 6, "--expressions", 2, "--format", "ply", *more)  # fmt: skip
    return out / "astronaut"


def read(written: Path) -> dict[str, np.ndarray]:
    with np.load(written / "result.npz") as stored:
        return {key: stored[key] for key in stored.files}


@pytest.fixture(scope="module")
def written(bundle_folder, folder) -> Path:
    return reconstruct(bundle_folder, folder / "out")


@pytest.fixture(scope="module")
def result(written) -> dict[str, np.ndarray]:
    return read(written)


def test_the_command_reconstructs_a_photograph(written):
    record = json.loads((written / "result.json").read_text())
    assert record["mode"] == "paper"
    assert record["head"]["release"] == "FLAME 2020"
    assert (written / "sheet.png").stat().st_size > 1e5
    meshes = sorted(path.name for path in (written / "meshes").iterdir())
    expressions = ["expression-01.ply", "expression-02.ply"]
    assert meshes == [*expressions, *(f"identity-{i}.ply" for i in range(1, 6)), "mean.ply"]


def test_the_scores_are_those_of_the_published_networks(bundle_folder, folder, head_folder):
    result = read(reconstruct(bundle_folder, folder / "exact", "--dtype", "float32"))
    scores = by_hand(result["shapes"], head_folder)
    np.testing.assert_allclose(result["scores"], scores, atol=1e-3 * np.std(scores))


def test_kernels_in_bfloat16_keep_the_scores_apart(result, head_folder):
    """They move all scores of a picture alike, and how they differ by little."""
    scores = by_hand(result["shapes"], head_folder)
    found = result["scores"] - np.mean(result["scores"])
    np.testing.assert_allclose(found, scores - np.mean(scores), atol=0.1 * np.std(scores))


def by_hand(shapes: np.ndarray, head_folder: Path) -> np.ndarray:
    """Scores from the crops: encoders, context and ranker, in float32 without our chain."""
    photo = photos.read(ASTRONAUT)
    face = faces.detect(photo.image)[0]
    arcface, farl = (published.config(n) for n in ("arcface_iresnet100", "farl_vit_b16"))
    seen = jax.jit(ArcFace.from_config(arcface).apply)(
        convert.arcface(published.state_dict("arcface_iresnet100"), arcface),
        arcface_input(faces.crop_112(photo.image, face)[None]),
    )
    general = jax.jit(FaRL.from_config(farl).apply)(
        convert.farl(published.state_dict("farl_vit_b16"), farl),
        farl_input(faces.crop_224(photo.image, face)[None]),
    )
    unit = seen / np.linalg.norm(seen, axis=1, keepdims=True)
    front = flame.surface(head_folder)["region_front"]
    vertices = 1e3 * flame.vertices(flame.load(head_folder), shape=shapes)[:, front]
    scores = Ranker.from_config(published.config("ranker")).apply(
        convert.ranker(published.state_dict("ranker")),
        vertices[None],
        np.concatenate([general, unit], axis=1),
    )
    return np.asarray(scores[0])


def test_the_faces_are_the_heads(result, head_folder):
    assert result["shapes"].shape == (6, 300)
    assert np.isfinite(result["shapes"]).all()
    assert (np.diff(result["scores"]) <= 0).all()
    assert result["expressions"].shape == (2, 100)
    assert (result["expressions"][:, 50:] == 0).all()  # the published network draws 50
    best = flame.vertices(flame.load(head_folder), shape=result["shapes"][:1])[0]
    np.testing.assert_allclose(result["vertices"], best, atol=1e-5 * np.abs(best).max())
