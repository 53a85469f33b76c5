"""What a camera does to light: white balance, gamma, blur, noise, JPEG. Same numbers, same effect.

The clean and the occluded picture pass through one `Sensor`, so that away from the occluder they
are equal up to JPEG.
"""

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from data_pipelines.synthetic.noise import SIZE, box_blur, tile


@dataclass(frozen=True)
class Sensor:
    gain: np.ndarray  # per channel
    contrast: float
    saturation: float
    grey: bool
    blur: float  # 0..1, share of a 3 x 3 mean
    shrink: float  # resolution kept, 1 = all
    noise: float
    place: np.ndarray  # where in the noise tile
    quality: int


def draw(rng: np.random.Generator) -> Sensor:
    """Mostly good cameras, some poor ones."""
    poor = rng.uniform() < 0.25
    return Sensor(
        gain=np.exp(rng.normal(0, 0.04, 3)).astype(np.float32),
        contrast=float(np.exp(rng.normal(0, 0.12))),
        saturation=float(np.clip(rng.normal(1.0, 0.18), 0.3, 1.5)),
        grey=rng.uniform() < 0.04,
        blur=rng.uniform(0, 1) if rng.uniform() < 0.5 else 0.0,
        shrink=rng.uniform(0.4, 0.9) if poor else 1.0,
        noise=rng.uniform(0.006, 0.022) if poor else rng.uniform(0.0, 0.008),
        place=rng.integers(0, 256, 6),
        quality=int(rng.integers(45, 75) if poor else rng.integers(75, 97)),
    )


def develop(srgb: np.ndarray, sensor: Sensor) -> UInt8[np.ndarray, "H W 3"]:
    """sRGB float 0..1 (before the camera) to the camera's uint8, without JPEG."""
    out = np.asarray(srgb, np.float32)
    if sensor.shrink < 1:
        out = _soften(out, sensor.shrink)
    if sensor.blur:
        out = out + sensor.blur * (box_blur(out, 1, passes=1) - out)
    matrix, bias = _grading(sensor)
    out = out @ matrix + bias
    if sensor.noise:
        out += sensor.noise * _grain(out.shape, sensor)
    return np.clip(out * 255 + 0.5, 0, 255).astype(np.uint8)


def _grading(sensor: Sensor) -> tuple[np.ndarray, np.float32]:
    """White balance, contrast about mid grey and saturation, as one matrix and an offset."""
    luminance = np.array([[0.30], [0.59], [0.11]]) * np.ones((1, 3))
    keep = 0.0 if sensor.grey else sensor.saturation
    mixed = keep * np.eye(3) + (1 - keep) * luminance
    matrix = np.diag(sensor.gain * sensor.contrast) @ mixed
    return matrix.astype(np.float32), np.float32(0.5 - 0.5 * sensor.contrast)


def _grain(shape: tuple, sensor: Sensor) -> np.ndarray:
    """Noise [H, W, 3], mostly the same in all channels."""
    source = tile("fine")
    rows, columns = np.arange(shape[0]), np.arange(shape[1])
    layers = [source[np.ix_((rows + u) % SIZE, (columns + v) % SIZE)]
              for u, v in sensor.place.reshape(3, 2)]  # fmt: skip
    return np.stack([0.7 * layers[0] + 0.5 * layer for layer in layers], -1)


def _soften(image: np.ndarray, keep: float) -> np.ndarray:
    height, width = image.shape[:2]
    small = (max(8, round(width * keep)), max(8, round(height * keep)))
    picture = Image.fromarray(np.uint8(np.clip(image * 255 + 0.5, 0, 255)))
    picture = picture.resize(small, Image.Resampling.BILINEAR)
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 255


def jpeg(image: UInt8[np.ndarray, "H W 3"], quality: int) -> UInt8[np.ndarray, "H W 3"]:
    """The picture as it comes back from a JPEG file."""
    data = io.BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(io.BytesIO(data.getvalue())).convert("RGB")).copy()
