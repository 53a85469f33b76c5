"""IdRank's candidates: shapes that a frozen IdGen draws for a picture.

They are drawn afresh inside the training step (`draw`), each picture's from its own key, or once
before training into a pool in files (`fill`), of which every epoch takes others.

The IdGen reaches the step as a constant: `Generator` is a pytree whose arrays are its params, so
they are an argument of the compiled step, and never trained or saved with the run.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ofer_jax import parts, sharding
from ofer_jax.arrays import Array, Float, Key
from ofer_jax.tasks import common, conditioning, idgen
from ofer_jax.tasks.common import Config, Params
from ofer_jax.tasks.conditioning import Features

BATCH = 64  # pictures a call, for a pool
_WITHOUT_STEPS = ("ddpm", "official_ddim")  # samplers whose number of steps is the schedule's


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Generator:
    """A frozen IdGen, and how its candidates are drawn; made by `generator`."""

    params: Params
    config: str = field(metadata={"static": True})  # IdGen's, as JSON
    num: int = field(metadata={"static": True})  # candidates a picture
    keep: int = field(metadata={"static": True})  # leading shape coefficients

    def digest(self, *more: str) -> str:
        """Twelve letters that stand for all of it, and `more`."""
        told = json.dumps([self.config, self.num, self.keep, *more])
        found = hashlib.sha256(told.encode())
        for path, leaf in jax.tree_util.tree_leaves_with_path(self.params):
            found.update(jax.tree_util.keystr(path).encode())
            found.update(np.asarray(leaf).tobytes())
        return found.hexdigest()[:12]


def generator(config: Config, params: Params, sampler: Config, num: int, keep: int) -> Generator:
    """A generator from IdGen's config and params.

    Args:
      config: IdGen's; its own sampler is left aside.
      params: IdGen's. The regressor, which draws nothing, is left aside.
      sampler: see `common.sample_coefficients`; 'steps' is left aside for 'ddpm', which takes all
        of the schedule's.
      num: K.
      keep: leading shape coefficients kept (the last modes are microns).

    Raises:
      ValueError: for an unknown sampler, or fewer than two candidates, which no one can rank.
    """
    if num < 2:
        raise ValueError(f"{num} candidates cannot be ranked; ask for two or more")
    options = dict(sampler)
    if options["name"] not in common.SAMPLERS:
        known = ", ".join(common.SAMPLERS)
        raise ValueError(f"sampler {options['name']!r} is not known; use one of {known}")
    if options["name"] in _WITHOUT_STEPS:
        options.pop("steps", None)
    told = json.dumps({**config, "sampler": options, "regressor": None}, sort_keys=True)
    return Generator({k: v for k, v in params.items() if k != "regressor"}, told, num, keep)


def draw(
    made: Generator, features: Features, keys: Key[Array, "B"]
) -> Float[Array, "B {made.num} {made.keep}"]:
    """Candidates for some pictures; those of picture b depend on `keys[b]` alone. No gradient."""
    config = json.loads(made.config)
    shapes = idgen.sample(config, made.params, features, keys, made.num)
    return jax.lax.stop_gradient(shapes[..., : made.keep])


def fill(
    made: Generator,
    features: np.ndarray | Mapping[str, np.ndarray],
    paths: Sequence[Path],
    key: Key[Array, ""],
    process: int = 0,
    processes: int = 1,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> None:
    """Draw the candidates of many pictures into files, on all devices of this process.

    Args:
      made: the generator.
      features: of N pictures: [N, F], or the crops (memory maps are read a batch at a time).
      paths: `parts.files` for N rows, float16 [num, keep] each. Those that exist are kept.
      key: picture n uses fold_in(key, n).
      process, processes: which share of the parts to draw.
      progress: goes around the loop over this share, for a progress bar.
    """
    count = conditioning.batch_size(features)
    missing = [n for n in range(process, len(paths), processes) if not paths[n].exists()]
    if not missing:
        return
    mesh = sharding.make_mesh(devices=jax.local_devices())
    by_batch, everywhere = sharding.of_batch(mesh), sharding.replicated(mesh)
    batch = -(-BATCH // mesh.size) * mesh.size
    held, run = jax.device_put(made, everywhere), jax.jit(draw, out_shardings=by_batch)
    for number in progress(missing):
        rows, found = parts.rows_of(number, count), []
        for start in range(0, len(rows), batch):
            some = rows[np.arange(start, start + batch) % len(rows)]  # the last batch wraps around
            keys = common.example_keys(key, jnp.asarray(some))
            seen = jax.tree.map(lambda a, some=some: a[some], features)
            given = jax.device_put((seen, keys), by_batch)
            found.append(np.asarray(run(held, *given), np.float16))
        parts.save(paths[number], np.concatenate(found)[: len(rows)])
