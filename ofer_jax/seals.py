"""The seal of a folder: the size and CRC-32 of each file in it, so that damage is found before the
folder is used. A folder without a seal (its writer was killed just before) counts as whole.
"""

import json
import zlib
from pathlib import Path

from ofer_jax import atomic

NAME = "seal.json"


def seal(folder: Path) -> None:
    """Write the seal of a folder that is finished."""
    found = {
        str(path.relative_to(folder)): [path.stat().st_size, _crc(path)]
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != NAME
    }
    atomic.write_text(folder / NAME, json.dumps(found))


def damage(folder: Path) -> str | None:
    """What is wrong with a sealed folder, or None."""
    path = folder / NAME
    if not any(folder.iterdir()):
        return "it is empty"
    if not path.exists():
        return None
    try:
        sealed = {str(name): (int(size), int(crc)) for name, (size, crc) in _read(path).items()}
    except (ValueError, TypeError, AttributeError):
        return f"{NAME} is damaged"
    for name, (size, crc) in sealed.items():
        file = folder / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size} bytes instead of {size}"
        if _crc(file) != crc:
            return f"{name} has changed"
    return None


def _read(path: Path) -> dict[str, tuple[int, int]]:
    return json.loads(path.read_text())


def _crc(path: Path, block: int = 2**24) -> int:
    crc = 0
    with path.open("rb") as file:
        while data := file.read(block):
            crc = zlib.crc32(data, crc)
    return crc
