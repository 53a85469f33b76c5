"""What a run was made with: the code, the packages and the devices."""

import collections
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import jax

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


def found() -> dict[str, Any]:
    """What goes into the record of a run: versions, device, git."""
    kinds = collections.Counter(device.device_kind for device in jax.devices())
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "versions": {"python": platform.python_version(), **versions},
        "device": ", ".join(f"{count} x {kind}" for kind, count in sorted(kinds.items())),
        "git": git(ROOT),
    }


def git(root: Path) -> dict[str, Any]:
    """{'commit': hash, 'dirty': whether a tracked file differs from it} of the checkout in `root`;
    both 'unknown' where there is none (or no git)."""
    top = _git(root, "rev-parse", "--show-toplevel")
    commit = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    # Without the first, a repository somewhere above a plain copy would speak for it.
    if top is None or Path(top).resolve() != root.resolve() or commit is None or changed is None:
        return {"commit": "unknown", "dirty": "unknown"}
    return {"commit": commit, "dirty": bool(changed)}


def _git(root: Path, *words: str) -> str | None:
    """What git says; None if it cannot."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # only look
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
            env=environment,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
