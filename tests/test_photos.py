"""Every kind of picture file leaves as upright uint8 RGB, or as one line that says why not."""

import warnings

import numpy as np
import pytest
from PIL import Image

from ofer_jax import photos


def _gradient(height: int = 48, width: int = 64) -> np.ndarray:
    """RGB with every corner different, so that a turn or a channel swap shows."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, 0 * x + 40], -1).astype(np.uint8)


def _save(path, image: Image.Image, **kwargs):
    image.save(path, **kwargs)
    return path


def _error(path) -> str:
    with pytest.raises(photos.PhotoError) as caught:
        photos.read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_rgb_is_read_as_it_is(tmp_path):
    photo = photos.read(_save(tmp_path / "a.png", Image.fromarray(_gradient())))
    np.testing.assert_array_equal(photo.image, _gradient())
    assert (photo.name, photo.notes) == ("a.png", ())


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb_uint8(tmp_path, mode):
    suffix = {"CMYK": "jpg", "YCbCr": "jpg"}.get(mode, "png")
    path = _save(tmp_path / f"a.{suffix}", Image.fromarray(_gradient()).convert(mode))
    image = photos.read(path).image
    assert image.dtype == np.uint8
    assert image.shape == (48, 64, 3)
    if mode in ("CMYK", "YCbCr", "RGBA"):
        assert np.abs(image.astype(int) - _gradient()).mean() < 12


def test_transparent_parts_are_white(tmp_path):
    pixels = np.dstack([_gradient(), np.zeros((48, 64), np.uint8)])
    photo = photos.read(_save(tmp_path / "a.png", Image.fromarray(pixels)))
    assert (photo.image == 255).all()


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path, suffix):
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (48, 1))
    photo = photos.read(_save(tmp_path / f"a.{suffix}", Image.fromarray(ramp)))
    expected = np.rint(ramp / 257.0)
    assert np.abs(photo.image[..., 0] - expected).max() <= 1


def test_float_tiff_of_unit_range(tmp_path):
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (48, 1))
    image = photos.read(_save(tmp_path / "a.tif", Image.fromarray(ramp))).image
    assert (image.min(), image.max()) == (0, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_exif_rotation_is_undone(tmp_path, orientation, suffix):
    upright = Image.fromarray(_gradient())
    undo = photos._UPRIGHT.get(orientation)
    inverse = {Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270}
    inverse |= {b: a for a, b in inverse.items()}
    stored = upright if undo is None else upright.transpose(inverse.get(undo, undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = _save(tmp_path / f"a.{suffix}", stored, exif=exif)
    image = photos.read(path).image
    assert image.shape == (48, 64, 3)
    assert np.abs(image.astype(int) - _gradient()).mean() < 4


def test_50_megapixels_are_reduced(tmp_path):
    path = _save(tmp_path / "big.jpg", Image.new("RGB", (8200, 6100), (10, 200, 30)), quality=50)
    photo = photos.read(path)
    assert photo.image.shape == (1524, 2048, 3)
    assert photo.notes == ("reduced from 8200 x 6100 to 2048 x 1524 pixels",)
    assert np.abs(photo.image[0, 0].astype(int) - (10, 200, 30)).max() < 8


def test_bombs_are_refused_by_their_header(tmp_path):
    bomb = _save(tmp_path / "bomb.png", Image.new("1", (20_000, 20_000)))
    assert "100 megapixels" in _error(bomb)
    assert "100 megapixels" in _error(_save(tmp_path / "b.png", Image.new("1", (12_000, 10_000))))


def test_what_is_not_a_picture(tmp_path):
    text = tmp_path / "notes.jpg"
    text.write_text("not a picture")
    assert "not a picture" in _error(text)
    empty = tmp_path / "empty.png"
    empty.touch()
    assert "not a picture" in _error(empty)
    script = tmp_path / "page.eps"
    script.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\nshowpage\n")
    assert "not a picture" in _error(script)  # never handed to Ghostscript
    assert "no such file" in _error(tmp_path / "missing.jpg")
    assert "not a file" in _error(tmp_path)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_truncated_files(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    path = _save(tmp_path / f"a.{suffix}", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[:5000])
    assert "damaged" in _error(path)


def test_tiny_and_narrow(tmp_path):
    assert "1 x 1 pixels" in _error(_save(tmp_path / "a.png", Image.new("RGB", (1, 1))))
    assert "narrow" in _error(_save(tmp_path / "b.png", Image.new("L", (20_000, 40))))


def test_folder_gives_its_pictures_in_order(tmp_path):
    for name in ("b.png", "a.JPG", "notes.txt", "._a.JPG"):
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    files, errors = photos.find([tmp_path, tmp_path / "a.JPG", tmp_path / "empty", "missing.png"])
    assert [f.name for f in files] == ["a.JPG", "b.png", "missing.png"]
    assert len(errors) == 1
    assert "without pictures" in str(errors[0])


@pytest.mark.parametrize(
    "array",
    [
        _gradient(),
        _gradient().astype(np.uint16) * 257,
        _gradient() / 255.0,
        np.dstack([_gradient(), np.full((48, 64), 255, np.uint8)]),
    ],
    ids=["uint8", "uint16", "float", "rgba"],
)
def test_arrays_of_every_kind_agree(array):
    photo = photos.from_array(array)
    np.testing.assert_array_equal(photo.image, _gradient())
    assert photo.digest == photos.from_array(_gradient(), "other name").digest


@pytest.mark.parametrize(
    "array",
    [np.zeros((3, 48, 64), np.uint8), np.full((48, 64), 7.5), np.zeros((48, 64), np.int32)],
)
def test_arrays_of_no_sense_are_refused(array):
    with pytest.raises(photos.PhotoError):
        photos.from_array(array)


def test_reading_changes_no_warning_filter(tmp_path):
    path = _save(tmp_path / "a.png", Image.fromarray(_gradient()))
    before = list(warnings.filters)
    photos.read(path)
    assert warnings.filters == before
