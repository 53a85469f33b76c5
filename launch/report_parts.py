"""The figures of a page: measured by their own commands, or taken from where they are already.

A command writes into OUT/WORD; OUT/WORD/made_of.json, written last, says what of (the bundle, the
data, the photographs, the settings), so that what was made of the same is not measured again.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ofer_jax import atomic, openhead, photos

MADE_OF = "made_of.json"


def measured(word: str, words: Sequence[str], out: Path, of: Mapping[str, str]) -> Path:
    """OUT/WORD with the report of a command and its words, measured unless it lies there.

    Raises:
      SystemExit: the command failed, and has said why.
      ValueError: it was killed.
    """
    folder = out / word
    report, stamp = folder / "report.json", folder / MADE_OF
    wanted = {"words": [word, *words], **of}
    if report.is_file() and _stamped(stamp) == wanted:
        print(f"{word}: measured before, {report}")
        return folder
    for old in (stamp, folder / "cases.json"):  # they speak of the report that is replaced now
        old.unlink(missing_ok=True)
    print(f"{word}: measuring", flush=True)
    target = report if word == "heads" else folder
    line = [sys.executable, "-m", "launch.evaluate", word, *words, f"--out={target}"]
    status = subprocess.run(line, stdout=subprocess.DEVNULL, check=False).returncode
    if status < 0:
        raise ValueError(f"{word!r} was killed (signal {-status}); run the same again")
    if status:
        sys.exit(status)
    atomic.write_text(stamp, json.dumps(wanted, indent=1) + "\n")
    return folder


def made_of(bundle: str | None, data: str | None, photographs: Sequence[str]) -> dict[str, str]:
    """Hashes of what figures depend on: the bundle's config (which has its parameters' hash), the
    data's cards (which have their content's), the photographs."""
    pictures, faults = photos.find(photographs)
    if faults:
        raise faults[0]
    config = Path(bundle or openhead.bundle_path()) / "config.json"
    if not config.is_file():
        raise ValueError(f"bundle {config.parent}: no config.json there; name a bundle's folder")
    folder = Path(data or "nothing")
    cards = [folder / "data_card.json", *sorted(folder.glob("*/*/meta.json"))]
    return {
        "bundle": _digest([config]),
        "data": _digest(card for card in cards if card.is_file()),
        "photographs": _digest(pictures),
    }


def _digest(files: Iterable[Path]) -> str:
    each = [f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
    return hashlib.sha256("\n".join(each).encode()).hexdigest()


def _stamped(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def words(named: Mapping[str, Any]) -> list[str]:
    """Flags of a command; None leaves one out."""
    return [f"--{name}={value}" for name, value in named.items() if value is not None]
