"""A fuzzer of all that comes from outside: pictures, coefficients, crops, lists and CSVs.

    python -m tests.fuzz --count 5000 --seed 0

Each input is either a hostile file (`tests.hostile`) or a sound one damaged at random, and goes
through the reader that users' files go through. It has to be read or rejected: with one line of
text, in bounded time and memory, and without running anything; an audit hook stops at the first
attempt to start a program, to write, or to look up a class for a pickle.
"""

import argparse
import contextlib
import functools
import io
import os
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from data_pipelines import sets
from data_pipelines.sets.entry import Entry, Truth
from ofer_jax import photos, pickles
from tests import hostile

MAX_SECONDS = 20.0  # of the processor, for one input
MAX_GROWTH = 1500 << 20  # bytes over all inputs: a picture of 100 megapixels may be decoded
_FORBIDDEN = (
    *("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "subprocess.Popen"),
    *("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.putenv"),
    *("pickle.find_class", "socket.connect", "shutil.rmtree", "ctypes.dlopen", "pty.spawn"),
)
_watching = False


@dataclass
class Report:
    """What came of all inputs: by kind, how many were read and how many rejected."""

    read: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")
    grown: int = 0

    def lines(self) -> Iterator[str]:
        for kind in sorted({*self.read, *self.rejected}):
            yield f"{kind}: {self.read[kind]} read, {self.rejected[kind]} rejected"
        yield f"all: {self.read.total()} read, {self.rejected.total()} rejected"
        yield f"slowest: {self.slowest[0]:.2f} s, {self.slowest[1]}"
        yield f"memory: at most {self.grown >> 20} MB more"


class Ran(BaseException):
    """An input made its reader do what no reader does; nothing catches this by mistake."""


@functools.cache
def _hook() -> None:
    def watch(event: str, arguments: tuple) -> None:
        if not _watching:
            return
        if event in _FORBIDDEN:
            raise Ran(f"{event}{arguments!r:.200}")
        writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & writes:
            raise Ran(f"{event}{arguments!r:.200}")

    sys.addaudithook(watch)


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Nothing may be run or written in this block."""
    global _watching
    _hook()
    _watching = True
    try:
        yield
    finally:
        _watching = False


def read_picture(data: bytes, folder: Path) -> bool:
    path = folder / "picture.jpg"
    path.write_bytes(data)
    with watched():
        try:
            image = photos.read(path).image
        except photos.PhotoError as error:
            return rejected(error)
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    assert max(image.shape) <= photos.MAX_SIDE
    return True


def read_coefficients(data: bytes, folder: Path) -> bool:
    path = folder / "x.npz"
    path.write_bytes(data)
    with watched():
        try:
            truth = sets.truth(Entry("plain", "a", "b", "", "", "", Truth("npz", str(path))))
        except sets.Fault as fault:
            assert fault.reason in sets.REASONS and fault.detail.isprintable()
            return rejected(fault)
    assert truth["shape"].shape == (300,) and truth["expression"].shape == (100,)
    assert all(np.isfinite(value).all() for value in truth.values())
    return True


def read_crop(data: bytes, folder: Path) -> bool:
    with watched():
        try:
            pickles.loads_npy(data)
        except ValueError as error:
            return rejected(error)
    return True


def read_list(data: bytes, folder: Path) -> bool:
    path = folder / "image_paths" / "LYHM.npy"
    path.write_bytes(data)
    with watched():
        try:
            listing = sets.read("lyhm", folder)
        except ValueError as error:
            return rejected(error)
    for line in listing.rejected:
        assert line.reason in sets.REASONS
        assert all(len(each.encode()) < 2000 for each in vars(line).values())
    inside = os.path.realpath(folder)
    assert all(os.path.realpath(each.picture).startswith(inside) for each in listing.entries)
    assert all(os.path.realpath(each.truth.path).startswith(inside) for each in listing.entries)
    return bool(listing.entries)


def read_table(data: bytes, folder: Path) -> bool:
    (folder / "mine.csv").write_bytes(data)
    with watched():
        try:
            listing = sets.read("plain", folder / "mine.csv")
        except ValueError as error:
            return rejected(error)
    for line in listing.rejected:
        assert line.reason in sets.REASONS
    return bool(listing.entries)


def rejected(error: ValueError) -> bool:
    text = str(error)
    assert text and "\n" not in text and len(text) < 1000, text[:200]
    return False


READERS: dict[str, Callable[[bytes, Path], bool]] = {
    "picture": read_picture,
    "coefficients": read_coefficients,
    "crop": read_crop,
    "list": read_list,
    "table": read_table,
}


def damaged(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """One to five random wounds: bits, bytes, lengths, cuts, gaps, repeats, parts of another."""
    out = bytearray(data)
    for _ in range(min(rng.geometric(0.5), 5)):
        at = int(rng.integers(len(out) + 1))
        length = int(min(rng.geometric(0.02), len(out)))
        match int(rng.integers(9)):
            case 0 if at < len(out):
                out[at] ^= 1 << int(rng.integers(8))
            case 1:
                out[at : at + length] = rng.bytes(length)
            case 2:
                out[at : at + 4] = (b"\xff" * 4, bytes(4), b"\xff\xff\xff\x7f")[rng.integers(3)]
            case 3:
                del out[at:]
            case 4:
                del out[at : at + length]
            case 5:
                out[at:at] = out[at : at + length] * int(rng.integers(1, 9))
            case 6:
                start = int(rng.integers(len(other) + 1))
                out[at:] = other[start:]
            case 7:
                out[at : at + length] = bytes(length)
            case _:
                out[at:at] = str(rng.integers(-(2**40), 2**40)).encode()
    return bytes(out)


@functools.cache
def sound() -> dict[str, list[bytes]]:
    """Good files of each kind, which are then damaged."""
    rng = np.random.default_rng(0)
    return {
        "picture": list(_pictures(rng)),
        "coefficients": list(_coefficients(rng)),
        "crop": [_saved(rng.normal(size=(3, 12, 12)).astype(kind)) for kind in ("f4", "f8")],
        "list": list(_lists()),
        "table": [
            b"image,subject,parameters,shape\na/1.jpg,a,LYHM/FLAME_parameters/a/x.npz,\n"
            b"LYHM/images/a/1.jpg,b,LYHM/FLAME_parameters/a/x.npz,\nb.png,c,,0.5 1e3 -2\n"
        ],
    }


@functools.cache
def hostile_files() -> dict[str, list[hostile.Case]]:
    return {
        "picture": list(hostile.pictures()),
        "coefficients": list(hostile.archives()),
        "crop": list(hostile.arrays()),
        "list": list(hostile.lists()),
        "table": [(name, b"image,subject,shape\n" + data) for name, data in hostile.programs()],
    }


def _pictures(rng: np.random.Generator) -> Iterator[bytes]:
    image = Image.fromarray(rng.integers(0, 256, (40, 48, 3), np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    for form, options, changed in (
        ("JPEG", {"exif": turned}, image),
        ("JPEG", {"progressive": True}, image.convert("CMYK")),
        ("PNG", {}, image.convert("RGBA")),
        ("PNG", {}, image.quantize(16)),
        ("PNG", {}, Image.fromarray(rng.integers(0, 65536, (40, 48), np.uint16))),
        ("WEBP", {"quality": 80}, image),
        ("WEBP", {"lossless": True}, image),
        ("BMP", {}, image),
        ("GIF", {"save_all": True, "append_images": [image]}, image),
        ("PPM", {}, image),
        ("TIFF", {}, image),
        ("TIFF", {"compression": "tiff_lzw"}, image),
        ("TIFF", {"compression": "tiff_adobe_deflate"}, image.convert("L")),
    ):
        stream = io.BytesIO()
        changed.save(stream, form, **options)
        yield stream.getvalue()


def _coefficients(rng: np.random.Generator) -> Iterator[bytes]:
    mica = {"betas": rng.normal(size=400), "pose": rng.normal(size=15)}
    frame = {"shape": rng.normal(size=300), "exp": rng.normal(size=50), "pose": np.zeros(12)}
    for arrays in (mica, frame):
        for save in (np.savez, np.savez_compressed):
            stream = io.BytesIO()
            save(stream, **arrays)
            yield stream.getvalue()


def _lists() -> Iterator[bytes]:
    images = ["a/1.jpg", "b\\2.jpg", "../3.jpg"]
    rows = {"a": (images, "a/x.npz"), "é b": (np.array(images), "a/x.npz"), "c": (images[:1], "c")}
    yield _saved(rows)
    yield _saved({actor: row[::-1] for actor, row in rows.items()})
    yield _saved(np.array(["a", "b"]))


def _saved(value: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, value, allow_pickle=True)  # type: ignore[arg-type]
    return stream.getvalue()


def prepare(folder: Path) -> None:
    """The small set whose lists are fuzzed: a picture, its coefficients, and no list yet."""
    home = folder / "LYHM"
    for path in (folder / "image_paths", home / "images" / "a", home / "FLAME_parameters" / "a"):
        path.mkdir(parents=True)
    (home / "images" / "a" / "1.jpg").write_bytes(b"")
    np.savez(home / "FLAME_parameters" / "a" / "x.npz", betas=np.zeros(400))


def run(count: int, seed: int, folder: Path) -> Report:
    """All hostile files, or as many as fit in half of `count`, and damaged ones for the rest.

    Raises an AssertionError or `Ran` that names the input.
    """
    before = _peak()  # what follows makes the inputs, and counts
    good, bad = sound(), hostile_files()
    attacks = [(kind, *each) for kind, cases in bad.items() for each in cases]
    np.random.default_rng(seed).shuffle(attacks)  # type: ignore[arg-type]
    report = Report()
    prepare(folder)
    with contextlib.chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("error")
        there = set(os.listdir())
        for number in range(count):
            rng = np.random.default_rng([seed, number])
            if number < min(len(attacks), count // 2):
                kind, name, data = attacks[number]
            else:
                kind = list(READERS)[number % len(READERS)]
                small = [data for _, data in bad[kind] if len(data) < 4000]
                name, data = f"damaged {number}", _made(kind, good[kind], small, rng)
            _one(kind, name, data, folder, report)
            left = set(os.listdir()) - there - {"picture.jpg", "x.npz", "mine.csv"}
            assert not left, f"{kind}, {name}, left {left}"
    report.grown = _peak() - before
    assert report.grown < MAX_GROWTH, f"{report.grown >> 20} MB"
    return report


def _made(kind: str, good: list[bytes], bad: list[bytes], rng: np.random.Generator) -> bytes:
    """A damaged file; a list or an archive may also be a whole one with odd things in it."""
    pool = good if rng.uniform() < 0.8 else [*good, *bad]
    first, second = (pool[rng.integers(len(pool))] for _ in range(2))
    if kind == "list" and rng.uniform() < 0.5:
        return hostile.odd_list(rng)
    if kind == "coefficients" and rng.uniform() < 0.6:
        arrays = {key: _saved(rng.normal(size=n)) for key, n in (("betas", 400), ("pose", 15))}
        key = ("betas", "pose")[rng.integers(2)]
        arrays[key] = damaged(arrays[key], arrays["pose"], rng)
        return hostile.zipped({f"{name}.npy": data for name, data in arrays.items()})
    return damaged(first, second, rng)


def _one(kind: str, name: str, data: bytes, folder: Path, report: Report) -> None:
    start = time.process_time()
    try:
        was_read = READERS[kind](data, folder)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        said = f"{type(error).__name__}: {str(error)[:300]}"
        raise AssertionError(f"{kind}, {name} ({len(data)} bytes): {said}") from error
    taken = time.process_time() - start
    assert taken < MAX_SECONDS, f"{kind}, {name}: {taken:.1f} s"
    (report.read if was_read else report.rejected)[kind] += 1
    report.slowest = max(report.slowest, (taken, f"{kind}, {name}"))


def _peak() -> int:
    """The most memory that this process has taken so far, bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = run(options.count, options.seed, Path(folder))
    print("\n".join(report.lines()))


if __name__ == "__main__":
    main()
