"""Photographs from anywhere, read safely: upright 8-bit RGB of a bounded size, or one clear line.

Whatever comes in (grey, palette, RGBA, CMYK, 16-bit, EXIF-rotated, enormous, broken) leaves as
uint8 RGB [H, W, 3], at most `MAX_SIDE` pixels long, or as a `PhotoError` whose text is one line
that names the file and says what is wrong with it.

What keeps it safe: only the formats in `FORMATS` are ever parsed (no EPS, which Pillow hands to
Ghostscript); the header's size is checked before a pixel is decoded; a large JPEG is decoded at
1/2, 1/4 or 1/8 of its size; nothing in a file is executed or trusted.
"""

import hashlib
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
EXTENSIONS = frozenset(
    (
        ".jpg",
        ".jpeg",
        ".jpe",
        ".mpo",
        ".png",
        ".webp",
        ".bmp",
        ".tif",
        ".tiff",
        ".gif",
        ".ppm",
        ".pgm",
    )
)
MAX_PIXELS = 100_000_000  # more is refused: decoding would take over 400 MB
MAX_SIDE = 2048  # larger pictures are reduced to this; the detectors see 128 to 192 px anyway
MIN_SIDE = 32

# EXIF orientation -> what turns the picture upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112


class PhotoError(ValueError):
    """A photograph that cannot be used; the message is one line, starting with its name."""


@dataclass(frozen=True)
class Photo:
    """One upright picture.

    Attributes:
        name: file name (or what the caller calls an array).
        image: uint8 RGB [H, W, 3].
        notes: what the reader should know, e.g. that the picture was reduced.
        source: its path, None for an array.
    """

    name: str
    image: UInt8[np.ndarray, "H W 3"]
    notes: tuple[str, ...] = field(default=())
    source: Path | None = None

    @property
    def digest(self) -> bytes:
        """SHA-256 of the pixels: the same picture has it whatever its name or company."""
        header = repr(self.image.shape).encode()
        return hashlib.sha256(header + np.ascontiguousarray(self.image).tobytes()).digest()


def read(path: str | Path) -> Photo:
    """Reads one picture.

    Args:
        path: a file in one of `FORMATS`.

    Returns:
        The upright picture, longest side at most `MAX_SIDE`.

    Raises:
        PhotoError: no such file, not a picture, damaged, smaller than `MIN_SIDE` or larger than
            `MAX_PIXELS`.
    """
    path = Path(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata and of sizes checked below
        image, size = _decode(path)
    notes = ()
    if max(size) > MAX_SIDE:
        was, now = _times(size), _times(image.size)
        notes = (f"reduced from {was} to {now} pixels",)
    return Photo(path.name, np.asarray(image), notes, path)


def from_array(array: Shaped[np.ndarray, "..."], name: str = "array") -> Photo:
    """Takes a picture held in memory.

    Args:
        array: [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]; uint8, uint16, bool, or floats in 0..1.
        name: what messages call it.

    Raises:
        PhotoError: any other shape, type or range, or a size outside the limits.
    """
    array = np.asarray(array)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise PhotoError(f"{name}: shape {array.shape} is not [H, W], [H, W, 3] or [H, W, 4]")
    _check_size(name, (array.shape[1], array.shape[0]))
    image = Image.fromarray(_on_white(_to_uint8(array, name)))
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return Photo(name, np.asarray(image))


def find(paths: Iterable[str | Path]) -> tuple[list[Path], list[PhotoError]]:
    """Expands folders: each becomes its pictures in name order (not those of sub-folders).

    Returns:
        The files to read, each once, and one error for each folder without a picture.
    """
    files: list[Path] = []
    errors: list[PhotoError] = []
    for path in map(Path, paths):
        if not path.is_dir():
            files.append(path)
            continue
        try:
            inside = [p for p in sorted(path.iterdir()) if _looks_like_a_picture(p.name)]
        except OSError as error:
            errors.append(PhotoError(f"{path}: cannot be listed ({error.strerror})"))
            continue
        if not inside:
            errors.append(
                PhotoError(f"{path}: a folder without pictures (jpg, png, webp, tif ...)")
            )
        files.extend(inside)
    return list(dict.fromkeys(files)), errors


def _looks_like_a_picture(name: str) -> bool:
    return Path(name).suffix.lower() in EXTENSIONS and not name.startswith(".")


def _decode(path: Path) -> tuple[Image.Image, tuple[int, int]]:
    """-> upright RGB picture of bounded size, and the size that the file states."""
    try:
        if not path.is_file():  # also keeps out pipes and devices
            reason = "is not a file" if path.exists() else "no such file"
            raise PhotoError(f"{path}: {reason}")
        with Image.open(path, formats=FORMATS) as image:
            size = image.size
            _check_size(str(path), size)
            image.draft(None, (MAX_SIDE, MAX_SIDE))  # JPEG only: decode fewer pixels
            image.load()
            turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
            image = _to_rgb(image)
            image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
            return (image.transpose(turn) if turn is not None else image), size
    except PhotoError:
        raise
    except UnidentifiedImageError:
        raise PhotoError(f"{path}: not a picture in a format read here {_names()}") from None
    except Image.DecompressionBombError:
        raise PhotoError(f"{path}: more than {MAX_PIXELS // 10**6} megapixels") from None
    except MemoryError:
        raise PhotoError(f"{path}: too large for this machine's memory") from None
    except PermissionError:
        raise PhotoError(f"{path}: no permission to read it") from None
    except Exception as error:  # Pillow's decoders raise nearly every kind on broken data
        raise PhotoError(f"{path}: damaged picture ({_line(error)})") from None


def _check_size(name: str, size: tuple[int, int]) -> None:
    if min(size) * min(1.0, MAX_SIDE / max(size)) < MIN_SIDE:
        least = f"at least {MIN_SIDE} x {MIN_SIDE} are needed"
        raise PhotoError(f"{name}: {_times(size)} pixels is too small or too narrow, {least}")
    if size[0] * size[1] > MAX_PIXELS:
        most = f"more than {MAX_PIXELS // 10**6} megapixels"
        raise PhotoError(f"{name}: {_times(size)} pixels is {most}, reduce it first")


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode -> RGB: 16-bit scaled to 8, transparent parts on white."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_on_white(_wide_to_uint8(np.asarray(image))[..., None]))
    factor = max(1, min(image.size[0], image.size[1]) // MAX_SIDE)
    if factor > 1 and image.mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
        image = image.reduce(factor)  # before the copies below
    if image.has_transparency_data:
        return Image.fromarray(_on_white(np.asarray(image.convert("RGBA"))))
    return image.convert("RGB")


def _wide_to_uint8(values: Shaped[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    """Grey of 16 bits or more (or floats) -> 8 bits, by the range its values show."""
    top = float(values.max())
    for full in (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (65535.0,):
        if top <= full:
            break
    else:
        full = top
    scaled = values.astype(np.float32) * np.float32(255.0 / full)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _to_uint8(array: Shaped[np.ndarray, "H W C"], name: str) -> UInt8[np.ndarray, "H W C"]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return np.rint(array / 257.0).astype(np.uint8)
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if (
        array.dtype.kind == "f"
        and np.isfinite(array).all()
        and 0 <= array.min() <= array.max() <= 1
    ):
        return np.rint(array * 255.0).astype(np.uint8)
    raise PhotoError(f"{name}: {array.dtype} pixels; give uint8, uint16, or floats from 0 to 1")


def _on_white(pixels: UInt8[np.ndarray, "H W C"]) -> UInt8[np.ndarray, "H W 3"]:
    """1, 3 or 4 channels (grey, RGB, RGBA) -> RGB."""
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 3:
        return np.ascontiguousarray(pixels)
    image = Image.fromarray(pixels)
    page = Image.new("RGBA", image.size, "white")
    page.alpha_composite(image)
    return np.asarray(page.convert("RGB"))


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _names() -> str:
    return "(" + ", ".join(sorted(FORMATS)) + ")"


def _line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 120 else text[:117] + "..."
