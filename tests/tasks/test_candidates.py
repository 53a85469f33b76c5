"""IdRank's candidates: drawn in the step or into files, by a frozen IdGen."""

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import parts, train, writers
from ofer_jax.tasks import candidates, common, idgen, idrank
from tests import steps, toy

SAMPLER = {"name": "dpm", "steps": 3}
CONFIG = toy.model_config("idrank")


@functools.cache
def params() -> dict[str, Any]:
    config = toy.model_config("idgen")
    return jax.device_get(idgen.init(config, jax.random.key(0), toy.constants("idgen")))


def generator(num: int = 3, **changes: Any) -> candidates.Generator:
    sampler = {**SAMPLER, **changes}
    return candidates.generator(toy.model_config("idgen"), params(), sampler, num, 8)


def constants(num: int = 3) -> dict[str, Any]:
    return {**toy.constants("idrank"), "generator": generator(num)}


def without_candidates(count: int = 4) -> dict[str, Any]:
    batch = {name: jnp.asarray(a[:count]) for name, a in toy.arrays().items()}
    return {name: a for name, a in batch.items() if name != "candidates"}


# ---------------------------------------------------------------- in the step


def test_those_of_a_picture_depend_on_its_own_key_alone() -> None:
    features, keys = (
        jnp.asarray(toy.arrays()["features"][:6]),
        jax.random.split(jax.random.key(1), 6),
    )
    drawn = jax.jit(candidates.draw)(generator(), features, keys)
    assert drawn.shape == (6, 3, 8)
    order = np.array([4, 0, 5])
    some = jax.jit(candidates.draw)(generator(), features[order], keys[order])
    np.testing.assert_allclose(some, drawn[order], atol=1e-5)
    assert np.std(drawn, axis=1).min() > 1e-3  # and differ among each other


def test_the_loss_is_that_of_a_pool_of_the_same_candidates() -> None:
    batch, key, given = without_candidates(), jax.random.key(2), constants()
    ranker = idrank.init(CONFIG, jax.random.key(3), given)
    loss = functools.partial(idrank.loss_fn, CONFIG, ranker, key=key, train=False)
    fresh, (figures, _) = loss(constants=given, batch=batch)
    keys = common.example_keys(key, batch["index"])
    own = candidates.draw(given["generator"], batch["features"], common.salted(keys, 11))
    pooled, (same, _) = loss(constants=toy.constants("idrank"), batch={**batch, "candidates": own})
    np.testing.assert_allclose(fresh, pooled, rtol=1e-5)
    assert figures.keys() == same.keys() == {"loss", "recovered"}
    np.testing.assert_allclose(figures["recovered"], same["recovered"], atol=1e-4)


def test_another_step_draws_others() -> None:
    batch, given = without_candidates(), constants()
    ranker = idrank.init(CONFIG, jax.random.key(3), given)
    losses = [
        float(idrank.loss_fn(CONFIG, ranker, given, batch, jax.random.key(k), train=False)[0])
        for k in (0, 0, 1)
    ]
    assert losses[0] == losses[1] != losses[2]


def test_no_gradient_reaches_the_frozen_network() -> None:
    batch, given, made = without_candidates(), constants(), generator()
    ranker = idrank.init(CONFIG, jax.random.key(3), given)

    def loss(both: tuple[Any, Any]) -> jax.Array:
        mine, frozen = both
        held = {**given, "generator": dataclasses.replace(made, params=frozen)}
        return idrank.loss_fn(CONFIG, mine, held, batch, jax.random.key(0))[0]

    of_ranker, of_frozen = jax.grad(loss)((ranker, made.params))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(of_frozen))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(of_ranker))
    assert any(np.any(leaf) for leaf in jax.tree.leaves(of_ranker["net"]))


def test_the_params_are_an_argument_of_the_program_and_no_constant_in_it() -> None:
    made = generator()
    keys = jax.random.split(jax.random.key(1), 2)
    features = jnp.asarray(toy.arrays()["features"][:2])
    lowered = jax.jit(candidates.draw).lower(made, features, keys)
    assert len(jax.tree.leaves(lowered.args_info)) == len(jax.tree.leaves(made)) + 2
    assert "regressor" not in made.params


def test_the_published_way_takes_all_steps_whatever_is_said() -> None:
    assert generator(name="ddpm").config == generator(name="ddpm", steps=50).config
    assert '"sampler": {"name": "ddpm"}' in generator(name="ddpm").config


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"num": 1}, "1 candidates cannot be ranked"), ({"name": "euler"}, "'euler' is not known")],
)
def test_what_cannot_be_drawn_is_an_error(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        generator(**changes)


def test_the_digest_tells_params_and_settings_apart() -> None:
    made = generator()
    other = {**params(), "basis": params()["basis"] + np.float32(1e-6)}
    others = [
        candidates.generator(toy.model_config("idgen"), other, SAMPLER, 3, 8),
        *(generator(4), generator(steps=4)),
    ]
    assert made.digest() == generator().digest()
    assert len({made.digest(), *(g.digest() for g in others)}) == 4


# ---------------------------------------------------------------- in a run


class Fresh(toy.Batches):
    """The made-up batches without candidates; fails at batch `at`, if there is one."""

    def __init__(self, *args: Any, at: int = -1, **options: Any) -> None:
        super().__init__(*args, **options)
        self.at = at

    def __next__(self) -> dict[str, Any]:
        if self.position == self.at:
            raise RuntimeError("the machine went away")
        batch = super().__next__()
        return {name: a for name, a in batch.items() if name != "candidates"}


def test_one_device_and_eight_draw_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    given = constants()
    monkeypatch.setattr(toy, "constants", lambda task: given)
    monkeypatch.setattr(toy, "Batches", Fresh)
    with jax.enable_x64(True):
        one, *others = (
            steps.run("idrank", mode, 20, np.float64) for mode in (None, "data", "fsdp")
        )
    for other in others:
        np.testing.assert_allclose(one[1], other[1], rtol=1e-9)
        steps.assert_close(one[0], other[0], 1e-9)


def test_a_run_that_was_killed_draws_the_same_again(tmp_path: Path) -> None:
    config = toy.config("idrank", 7)
    config.update({"eval_steps": 3, "ckpt_steps": 3})
    # As launch.train does it: held-out candidates are drawn once, and stay.
    valid = train.make_evaluator(config, toy.constants("idrank"), toy.arrays(16), 1)

    def run(name: str, at: int = -1) -> Any:
        writer = writers.Writer(tmp_path / name, "idrank", 10)
        own = {"constants": constants(), "writer": writer}
        return train.train(config, tmp_path / name, Fresh(at=at), {"valid": valid}, **own)

    whole = run("whole")
    with pytest.raises(RuntimeError, match="went away"):
        run("parts", at=5)
    resumed = run("parts")
    jax.tree.map(np.testing.assert_array_equal, *jax.device_get((whole, resumed)))
    told = toy.metrics(tmp_path / "whole")
    assert told == toy.metrics(tmp_path / "parts")
    assert {"loss", "valid/loss"} <= {name for line in told for name in line}


# ---------------------------------------------------------------- into files


def fill(folder: Path, count: int, **options: Any) -> list[Path]:
    features = np.resize(toy.arrays()["features"], (count, toy.FEATURES))
    paths = parts.files(folder, "train_clean", count)
    candidates.fill(generator(), features, paths, jax.random.key(1), **options)
    return paths


def test_processes_share_the_parts_and_one_that_was_killed_goes_on(tmp_path: Path) -> None:
    count, seen = 2 * parts.ROWS + 10, []

    def killed(missing: list[int]) -> Iterator[int]:
        seen.append(list(missing))
        yield missing[0]
        raise KeyboardInterrupt

    def noted(missing: list[int]) -> list[int]:
        seen.append(list(missing))
        return missing

    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "two", count, process=0, processes=2, progress=killed)
    assert len(list((tmp_path / "two").iterdir())) == 1
    for process in (0, 1):
        fill(tmp_path / "two", count, process=process, processes=2, progress=noted)
    assert seen == [[0, 2], [2], [1]]
    fill(tmp_path / "one", count)
    one, two = (parts.open_in(tmp_path / name, "train_clean") for name in ("one", "two"))
    assert two.shape == (count, 3, 8) and two.dtype == np.float16
    rows = np.arange(count)
    np.testing.assert_array_equal(one[rows], two[rows])
    # Each picture's are those of its own key.
    keys = common.example_keys(jax.random.key(1), jnp.asarray(rows[-3:]))
    features = np.resize(toy.arrays()["features"], (count, toy.FEATURES))[-3:]
    own = candidates.draw(generator(), jnp.asarray(features), keys)
    np.testing.assert_allclose(two[rows[-3:]], own, atol=4e-3)
