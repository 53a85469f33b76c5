"""Export the whole chain for serving: crops of faces in, ranked 3D heads out, no code of ours.

    python -m launch.export [--bundle DIR] [--out DIR] [--platforms cpu,cuda,tpu]
        [--shapes 100] [--expressions 15]
    cd out/exported && python load.py example.npz outputs.npz

The folder holds the program (`jax.export`: for CPU, CUDA and TPU, for any number of faces), the
weights beside it, a loader that needs jax and numpy alone, and a manifest of inputs and outputs:
docs/serving.md.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags

import ofer_jax
from ofer_jax import export, photos

DEMO = Path(__file__).parent / "demo_photos" / "astronaut.jpg"
BUNDLE = flags.DEFINE_string("bundle", None, "bundle (default: the embedded one)")
HEAD = flags.DEFINE_string("head", None, "another head than the bundle's: .npz, .pkl or folder")
SURFACE = flags.DEFINE_string("surface", None, ".npz with that head's face regions")
OUT = flags.DEFINE_string("out", "out/exported", "folder to write; an older export is replaced")
PLATFORMS = flags.DEFINE_list("platforms", list(export.PLATFORMS), "that it shall run on")
SHAPES = flags.DEFINE_integer("shapes", 100, "shapes drawn and ranked for each face", 2)
EXPRESSIONS = flags.DEFINE_integer("expressions", 15, "expressions drawn for each face", 1)
PHOTO = flags.DEFINE_string("photo", None, "makes example.npz (default: one of the demo's)")
SEED = flags.DEFINE_integer("seed", 0, "of the example's random key", 0)


def main(argv: Sequence[str]) -> None:
    """Write the folder; a bad bundle or photograph is one line and exit status 1."""
    if argv[1:]:
        raise app.UsageError(f"unknown argument {argv[1]!r}")
    start = time.perf_counter()
    try:
        export.check_target(OUT.value)
        reconstructor = ofer_jax.load(BUNDLE.value, HEAD.value, SURFACE.value)
        found = reconstructor.find(photos.read(PHOTO.value or DEMO))
        example = export.inputs(reconstructor, found, SEED.value)
        counts = SHAPES.value, EXPRESSIONS.value
        program = export.build(reconstructor, *counts, tuple(PLATFORMS.value))
        told = export.save(program, OUT.value, example)
    except (ValueError, OSError) as error:
        sys.exit(f"launch.export: {error}")
    files = ", ".join(
        f"{name} {each['bytes'] / 1e6:.1f} MB" for name, each in told["files"].items()
    )
    seconds = time.perf_counter() - start
    print(f"{OUT.value}: {files}; {', '.join(told['platforms'])}; {seconds:.0f} s")


if __name__ == "__main__":
    app.run(main)
