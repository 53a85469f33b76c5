"""`make demo`: reconstruct two photographs, then train the networks anew in about a minute.

    python -m launch.demo --out out/demo

First two public-domain photographs, each also with something before the face, by the embedded
bundle; then the loop in small, whose faces are rough. Every command is printed.
"""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags

from launch import demo_pictures
from ofer_jax import compiled

OUT = flags.DEFINE_string("out", "out/demo", "folder to write")
LEARN = flags.DEFINE_boolean("learn", True, "also the second part: data, training, conversion")
SUBJECTS = flags.DEFINE_integer("subjects", 160, "heads of the small data set", 40)
RECONSTRUCT = ("ofer_jax.cli", "reconstruct")


def run(title: str, *command: object) -> None:
    """One command in its own process, with its time; stops the demo if it fails."""
    words, start = [str(word) for word in command], time.perf_counter()
    print(f"\n== {title}\n$ python -m {shlex.join(words)}", flush=True)
    status = subprocess.run([sys.executable, "-m", *words]).returncode
    if status:
        sys.exit(f"demo: this command failed with status {status}")
    print(f"   ({time.perf_counter() - start:.0f} s)", flush=True)


def table(folder: Path) -> None:
    """What was found in each photograph."""
    print(f"\n{'photograph':26}{'shapes':>7}{'differ by':>11}{'best score':>12}   look at")
    for path in sorted(folder.glob("*/result.json")):
        r = json.loads(path.read_text())
        differ, score = f"{r['spread_mm']['median']:.1f} mm", f"{r['shapes'][0]['score']:.2f}"
        row = f"{path.parent.name:26}{len(r['shapes']):7}{differ:>11}{score:>12}"
        print(f"{row}   {path.with_name('sheet.png')}")


def learn(out: Path, photographs: Sequence[Path]) -> None:
    """The loop in small, from drawing heads to reconstructing with what was learnt."""
    data, bundle = out / "data", out / "bundle"
    share = ("--validation_share=0.2", "--test_share=0")
    build = ("launch.build_dataset", "--out", data, f"--subjects={SUBJECTS.value}", *share)
    run("Draw heads, render them, make their features", *build, "--features=open", "--overwrite")
    runs = {name: out / "runs" / name for name in ("idgen", "idrank", "expgen")}
    for name, workdir in runs.items():
        after = (f"--config.idgen={runs['idgen']}",) if name == "idrank" else ()
        config = ("--config", f"configs/{name}_openhead.py:demo")
        run(f"Train {name}", "launch.train", *config, "--data", data, "--workdir", workdir, *after)
    trained = [f"--{name}={workdir}" for name, workdir in runs.items()]
    run("Turn the three into one bundle", "launch.convert", *trained, "--out", bundle)
    own = ("--bundle", bundle, "--out", out / "learnt")
    run("Reconstruct with it", *RECONSTRUCT, *photographs, *own)


def main(argv: Sequence[str]) -> None:
    if argv[1:]:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    start, out = time.perf_counter(), Path(OUT.value)
    compiled.keep()
    files = demo_pictures.make(out / "photos")
    run("Four photographs to ranked 3D faces", *RECONSTRUCT, *files, "--out", out / "faces")
    table(out / "faces")
    if LEARN.value:
        learn(out, files)
        table(out / "learnt")
    print(f"\n{time.perf_counter() - start:.0f} s in all. Open the sheets: {out}/*/*/sheet.png")


if __name__ == "__main__":
    app.run(main)
