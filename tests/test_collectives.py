"""What the compiled step sends, and what each device keeps: on eight CPU devices, as optimised."""

import functools
import importlib
import math
import re
from collections import Counter
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from ofer_jax import sharding, train
from tests import toy

pytestmark = pytest.mark.usefixtures("optimised")
KINDS = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"
Shape = tuple[int, ...]


class Sent(NamedTuple):
    """A collective: its kind, how many devices take part in each, the shapes that come out."""

    kind: str
    group: int
    shapes: list[Shape]

    @property
    def numbers(self) -> int:
        return sum(map(math.prod, self.shapes))


def collectives(program: str) -> list[Sent]:
    found = []
    for line in program.splitlines():
        match = re.search(rf" = (.*?) ({KINDS})(?:-start)?\(.*?replica_groups=(.*)", line)
        if match is not None:
            shapes = re.findall(r"[a-z]+\d+\[([\d,]*)\]", match[1])
            sizes = [tuple(map(int, filter(None, shape.split(",")))) for shape in shapes]
            found.append(Sent(match[2], group_size(match[3]), sizes))
    return found


def group_size(text: str) -> int:
    """Of `{{0,1},{2,3}}`, `[2,4]<=[8]` or `mesh['a'=2,'b'=4], device_ids=(...) {'b'}`."""
    if text.startswith("{"):
        return text.split("}")[0].count(",") + 1
    if text.startswith("["):
        return int(text[1:].split("]")[0].split(",")[1])
    sizes = dict(re.findall(r"('\w+')=(\d+)", text.split("]")[0]))
    used = re.findall(r"'\w+'", text.split("{")[1].split("}")[0])
    return math.prod(int(sizes[name]) for name in used)


@functools.cache
def compiled(task: str, mode: str) -> tuple[train.Program, Any, Any]:
    """(program, its step compiled, the arguments) of a toy run on 8 devices."""
    config, constants = toy.config(task), toy.constants(task)
    config.mesh.update({"mode": mode, "data": 2 if mode == "both" else -1})
    program = train.program(config, constants)
    batch = sharding.put_batch(next(toy.Batches()), sharding.of_batch(program.mesh))
    given = (program.abstract, batch, jax.random.key(0), constants)
    return program, program.step.lower(*given).compile(), given


def split(program: train.Program) -> tuple[list[Shape], int]:
    """Shapes of the params that are split, and how many numbers the trained ones are that are
    not. (IdGen's basis is never trained.)"""
    paths = jax.tree_util.tree_leaves_with_path(program.abstract.params)
    whole = [x for p, x in paths if x.sharding.is_fully_replicated and "basis" not in str(p)]
    parts = [x.shape for _, x in paths if not x.sharding.is_fully_replicated]
    return parts, sum(x.size for x in whole)


@pytest.mark.parametrize("task", train.TASKS)
def test_data_parallel_is_one_sum_of_gradients_and_metrics(task: str) -> None:
    """All devices, once. IdRank's 'recovered', a ratio of means over the whole batch that are in
    that sum, is one number more: it is averaged like any metric, and is the same everywhere."""
    program, step, _ = compiled(task, "data")
    sent = sorted(collectives(step.as_text()), key=lambda s: s.numbers)
    if task == "idrank":
        assert sent.pop(0) == Sent("all-reduce", 8, [()])
    assert [(s.kind, s.group) for s in sent] == [("all-reduce", 8)]
    parts, gradients = split(program)
    assert parts == []
    assert 1 <= sent[0].numbers - gradients <= 5  # the loss, and metrics that are not the same


@pytest.mark.parametrize(("mode", "group"), [("fsdp", 8), ("both", 4)])
@pytest.mark.parametrize("task", train.TASKS)
def test_fsdp_gathers_params_and_scatters_gradients(task: str, mode: str, group: int) -> None:
    """Each matrix once each way and nothing else of that size: no activations, no whole
    gradients."""
    program, step, _ = compiled(task, mode)
    sent = collectives(step.as_text())
    params, vectors = split(program)
    gathered, scattered, summed = (
        [s for s in sent if s.kind == kind]
        for kind in ("all-gather", "reduce-scatter", "all-reduce")
    )
    assert len(gathered) + len(scattered) + len(summed) == len(sent)
    assert {s.group for s in gathered + scattered} == {group}
    trained = list(params)
    if task == "idgen" and mode == "both":  # the basis, which 4 devices can split and 8 can not
        trained.remove(program.abstract.params["basis"].shape)
    size = sum(map(math.prod, trained))
    assert shapes(gathered) == Counter(tuple(sorted(shape)) for shape in params)
    assert len(scattered) == len(trained)
    assert sum(s.numbers for s in scattered) == size / group
    # Vectors, the loss and metrics over all devices, with the norms of what is split; and for
    # 'both' the scattered gradients over the two groups.
    over_groups = [s for s in summed if s.group == 2]
    assert sum(s.numbers for s in over_groups) == (size / group if mode == "both" else 0)
    rest = sum(s.numbers for s in summed if s.group != 2) - vectors
    assert 1 <= rest <= 8 + 4 * len(params)


def shapes(sent: list[Sent]) -> Counter[Shape]:
    """Without order: the compiler may gather the transposed matrix."""
    return Counter(tuple(sorted(shape)) for s in sent for shape in s.shapes)


@pytest.mark.parametrize("mode", sharding.MODES)
@pytest.mark.parametrize("task", train.TASKS)
def test_between_steps_a_device_keeps_its_part_alone(task: str, mode: str) -> None:
    """Bytes of the arguments and results of the compiled step, as the compiler counts them."""
    _, step, (state, batch, _, constants) = compiled(task, mode)
    memory = step.memory_analysis()
    _, held = sharding.bytes_of(state)
    rows = sum(x.nbytes for x in jax.tree.leaves(batch)) / 8
    whole = sum(np.asarray(x).nbytes for x in jax.tree.leaves(constants))
    assert held <= memory.argument_size_in_bytes <= held + rows + whole + 64
    leaves = len(jax.tree.leaves(state)) + 20  # metrics, and a pointer to each result
    assert 0 <= memory.output_size_in_bytes - held <= 8 * leaves + 200
    placed = jax.tree.map(lambda x: x.sharding, state)
    same = jax.tree.map(
        lambda a, b, x: a.is_equivalent_to(b, x.ndim), step.output_shardings[0], placed, state
    )
    assert all(jax.tree.leaves(same))


@pytest.mark.parametrize(
    ("name", "bar", "count"),
    [("idrank", 1 / 8 + 0.02, 59), ("idgen", 0.22, 12), ("expgen", 0.17, 3)],
)
def test_bytes_of_the_papers_networks_on_one_of_eight_devices(
    name: str, bar: float, count: int
) -> None:
    """Params, Adam's moments, counters and averages: of the network, and with its encoders. Shapes
    alone, nothing is allocated."""
    config = importlib.import_module(f"configs.{name}").get_config()
    config.optim.epoch_steps, config.mesh.mode = 10, "fsdp"
    constants = {"template": np.zeros((1785, 3)), "basis": np.eye(300), "weights": np.ones(300)}
    if name != "idrank":
        del constants["template"]
    state = train.program(config, constants).abstract
    nets = [x for path, x in jax.tree_util.tree_leaves_with_path(state) if "'net'" in str(path)]
    assert sum(x.size for x in jax.tree.leaves(state.params["net"])) // 10**6 == count
    for tree in (nets, state):
        total, held = sharding.bytes_of(tree)
        assert 1 / 8 <= held / total <= bar
    listed = sharding.told(state).splitlines()[1]
    assert ("net/out_linear/kernel" in listed) == (name != "idrank")
    assert (listed == "whole on every device: no matrix") == (name == "idrank")


def test_a_device_number_that_divides_nothing_keeps_all_whole() -> None:
    mesh = sharding.make_mesh(1, 7, jax.devices()[:7])
    layout = sharding.of_tree({"a": np.zeros((8, 4))}, mesh, sharding.FSDP)
    assert layout["a"].spec == PartitionSpec()
