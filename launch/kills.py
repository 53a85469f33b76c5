"""Kills a small training run again and again, and compares its end with that of one left alone.

    python -m launch.kills --kills 100

SIGKILL comes at a random moment of the start, some steps later, or while a checkpoint is written.
The killed run must end with the same bits: state, best params, metrics.jsonl and TensorBoard."""

import contextlib
import functools
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from absl import app, flags

from launch import made_up
from ofer_jax import checkpoint, events

KILLS = flags.DEFINE_integer("kills", 100, "how often", 1)
OUT = flags.DEFINE_string("out", "out/kills", "a folder to be made; it must not be there yet")
KINDS = ("after some steps", "in a save", "at the start")


def main(argv: list[str]) -> None:
    out, rng = Path(OUT.value), random.Random(0)
    if len(argv) > 1 or out.exists():
        raise app.UsageError(f"{out} must not be there, and arguments neither")
    made_up.write(out / "data")
    whole, killed = out / "whole", out / "killed"
    train = functools.partial(made_up.train, out / "data", 10 * KILLS.value + 50)
    failed = train(whole).wait()
    for number in range(0 if failed else KILLS.value):
        kill(train(killed), killed, KINDS[number % len(KINDS)], rng)
        print(f"\rkills: {number + 1}", end="", file=sys.stderr, flush=True)
    if failed or train(killed).wait():
        sys.exit(f"launch.kills: a run failed; see {whole}.log and {killed}.log")
    print(f"\n{KILLS.value} kills, in turn {', '.join(KINDS)}")
    one, other = left(whole), left(killed)
    for name in one:
        print(f"{name}: {'the same' if one[name] == other[name] else 'DIFFERENT'}")
    sys.exit(one != other)


def kill(child: subprocess.Popen[bytes], workdir: Path, kind: str, rng: random.Random) -> None:
    """Kill `child` at a random moment of a kind."""
    began, metrics = time.time(), workdir / "metrics.jsonl"
    enough = stat(metrics)[1] + rng.randrange(7_000)  # bytes, of some ten steps

    def is_time() -> bool:
        if kind == "in a save":
            return any(stat(path)[0] > began for path in workdir.glob("*/*-tmp"))
        return kind == "at the start" or stat(metrics)[1] > enough

    while not is_time() and child.poll() is None:
        time.sleep(0.001)
    time.sleep(rng.uniform(0, 4 if kind == "at the start" else 0.05))
    child.kill()
    if child.wait() != -signal.SIGKILL:
        sys.exit(f"launch.kills: the run ended by itself; see {workdir}.log")


def stat(path: Path) -> tuple[float, int]:
    """Time of the last change and size, zeros where there is nothing."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mtime, path.stat().st_size
    return 0.0, 0


def left(workdir: Path) -> dict[str, object]:
    """What is compared."""
    found = {name: checkpoint.digest(workdir / name) for name in ("checkpoints", "best")}
    text, numbers = (workdir / "metrics.jsonl").read_text(), events.read(workdir / "tensorboard")
    return {**found, "metrics.jsonl": text, "tensorboard": numbers}


if __name__ == "__main__":
    app.run(main)
