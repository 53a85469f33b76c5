"""Fit FLAME to the registered meshes of a set that ships no coefficients (FaMoS, CoMA).

    python -m launch.fit_meshes --set famos --source FAMOS/ --flame FLAME/ --out data/famos_fits

Writes OFER's parameter files, OUT/SUBJECT/SEQUENCE/FRAME.npz, residuals (`fits.jsonl`), what was
left out and why (`rejected.jsonl`) and a sheet of some fits to look at. The same command goes on
where a killed one was. Then `launch.build_dataset --fits OUT` reads them.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import app, flags
from PIL import Image

from data_pipelines import fit_sheet, fits, sets
from ofer_jax import atomic, compiled, flame, openhead
from ofer_jax.flame import fit

SET = flags.DEFINE_enum("set", "plain", ["famos", "coma", "plain"], "which; plain is a CSV")
SOURCE = flags.DEFINE_string("source", None, "its folder", required=True)
FLAME = flags.DEFINE_string("flame", None, "the FLAME model (default: the embedded open head)")
OUT = flags.DEFINE_string("out", None, "folder of the fits", required=True)
UNIT = flags.DEFINE_float("unit", 1.0, "metres of a unit in the files; 0.001 for millimetres", 0.0)
LIMIT = flags.DEFINE_float("limit_mm", 2.0, "largest mean residual of a mesh that is kept", 0.0)
REGION = flags.DEFINE_string("region", "", "look at these vertices alone, e.g. face (default: all)")
NOISE = flags.DEFINE_float("noise_mm", 0.3, "scatter about the model; more means stronger priors")
SHEET = flags.DEFINE_integer("sheet", 12, "fits to show on OUT/sheet.png", 0)


def weights(path: str, head: flame.FlameModel) -> np.ndarray | None:
    """1 in the region that was asked for."""
    if not REGION.value:
        return None
    known, name = flame.surface(path), f"region_{REGION.value}"
    if name not in known:
        there = sorted(key.removeprefix("region_") for key in known if key.startswith("region_"))
        raise ValueError(f"the head has no region {REGION.value!r}; it has {', '.join(there)}")
    out = np.zeros(head.num_vertices)
    out[known[name]] = 1
    return out


def run() -> None:
    """Fits, figures and the sheet."""
    compiled.keep()
    path = FLAME.value or str(openhead.head_path())
    head, out = flame.load(path), Path(OUT.value)
    settings = fit.Settings(noise=1e-3 * NOISE.value)
    options = fits.Options(unit=UNIT.value, limit=1e-3 * LIMIT.value, fit=settings)
    meshes = sets.meshes(SET.value, SOURCE.value)
    found = fits.run(meshes, head, out, options, weights(path, head))
    print(", ".join(f"{name} {value}" for name, value in found.items()))
    if SHEET.value and found["fitted"]:
        page = fit_sheet.draw(meshes, head, out, UNIT.value, SHEET.value)
        with atomic.writing(out / "sheet.png") as beside:
            Image.fromarray(page).save(beside)
    if not found["fitted"]:
        raise ValueError(f"no mesh could be fitted; {out / 'rejected.jsonl'} says why")


def main(argv: Sequence[str]) -> None:
    """A ValueError is one line and exit status 2."""
    if argv[1:]:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    try:
        run()
    except (ValueError, OSError) as error:
        print(f"fit_meshes: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main)
