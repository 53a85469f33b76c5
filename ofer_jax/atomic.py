"""Files and folders that appear whole or not at all: written beside the target, then renamed.

Whoever reads sees the old one or the whole new one; a writer that is killed leaves the old one, and
at most a hidden file or folder beside it.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def writing(path: str | Path, *, sync: bool = True) -> Iterator[Path]:
    """A name to write a file under; at the end of the block it takes the place of `path`.

    It lies in the same folder, which is made, and ends in the same suffix. No two writers get the
    same one. An error in the block removes it.

    Args:
        path: of the file.
        sync: put the file on disk before it is renamed: without, a machine that loses its power
            may leave an empty one, under the right name. Some milliseconds.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        yield beside
        if sync:
            _to_disk(beside)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Writes a text file (UTF-8)."""
    write_bytes(path, text.encode())


def write_bytes(path: str | Path, data: bytes, *, sync: bool = True) -> None:
    """Writes a file; `sync` as in `writing`."""
    with writing(path, sync=sync) as beside:
        beside.write_bytes(data)


@contextlib.contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """A fresh folder to write into; at the end of the block it takes the place of `path`.

    Always the same one, so that what a killed writer left is removed by the next.
    """
    path = Path(path)
    work, old = (path.with_name(f".{path.name}.{suffix}") for suffix in ("part", "old"))
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        yield work
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        os.replace(path, old)  # two renames: a folder cannot be replaced in one
    os.replace(work, path)
    shutil.rmtree(old, ignore_errors=True)


def _to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
