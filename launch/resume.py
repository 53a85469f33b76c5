"""Whether a training run may go on in its folder."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from configs import common
from data_pipelines import input as batches
from ofer_jax import checkpoint, flame

# How long, how often, on what machine, and where files lie. (The head is compared by its hash.)
MAY_CHANGE = (
    *("total_steps", "log_steps", "eval_steps", "ckpt_steps", "patience_steps", "keep", "mesh"),
    *("picture_steps", "head", "idgen", "input.candidates", "input.workers", "candidates.dir"),
)


def check(config: Any, workdir: Path, head: flame.FlameModel) -> None:
    """Refuse to go on from checkpoints of another head or config, before anything is written.

    Raises ValueError, one line that names what changed.
    """
    path = workdir / "config.json"
    if not checkpoint.exists(workdir) or not path.is_file():
        return
    try:
        record = json.loads(path.read_text())
        trained, before = record["head"], dict(_flat(record["config"]))
        same = trained["sha256"] == head.sha256
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error!r}): name another --workdir") from None
    if not same:
        raise ValueError(
            f"{workdir} holds a run on head {flame.title(trained)}, not on "
            f"{flame.title(head.identity)}; go on with that head, or name another --workdir"
        )
    now = dict(_flat(json.loads(config.to_json_best_effort())))
    # A record from before a field of the input was there: it did what the field's default does.
    defaults = json.loads(common.base(config.task).input.to_json_best_effort())
    added = {k: v for k, v in _flat(defaults, "input.") if k in now}
    before = {**added, **before}
    changed = sorted(key for key in before.keys() | now.keys() if _differs(key, before, now))
    if changed:
        told = [f"{k} was {before.get(k, 'not there')}, is {now.get(k, 'gone')}" for k in changed]
        raise ValueError(
            f"{workdir} holds a run of another config ({'; '.join(told[:6])}); go on with that "
            "config, or name another --workdir"
        )


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _differs(key: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    if key == "input.dir":  # the folders may lie elsewhere
        return batches.shares(before.get(key, "")) != batches.shares(now.get(key, ""))
    may = any(key == name or key.startswith(f"{name}.") for name in MAY_CHANGE)
    return not may and (key not in before or key not in now or before[key] != now[key])
