"""Was a bundle trained on the set that it is measured on? What its provenance says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# What OFER's published networks saw (Selvaraju et al., CVPR 2025).
_PUBLISHED = ("lyhm", "stirling", "facewarehouse", "florence", "famos")


def check(path: Path, name: str, *, force: bool) -> None:
    """Raises a ValueError if the bundle says that it saw the set `name`, unless `force`."""
    why = _seen(_provenance(path), name)
    if why and not force:
        raise ValueError(
            f"bundle {path}: {why}: its error on {name} says nothing of other people; --force "
            "measures it all the same"
        )


def reminder(path: Path | None) -> list[str]:
    """What to say of meshes whose makers are not known."""
    if path is not None:
        return []
    return ["of meshes nobody can tell whether their networks were trained on these very people"]


def _seen(provenance: dict[str, Any], name: str) -> str:
    if "published" in provenance and name in _PUBLISHED:
        return f"OFER's published networks were trained on {name}"
    for task, about in provenance.items():
        if name in json.dumps(about).lower():
            return f"its {task} was trained on {name}, says its provenance"
    return ""


def _provenance(path: Path) -> dict[str, Any]:
    try:
        config = json.loads((path / "config.json").read_text())
        found = config["provenance"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # whoever loads the bundle says what is wrong with it
    return found if isinstance(found, dict) else {}
