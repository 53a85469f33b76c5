"""The whole chain as one file that runs with jax and numpy alone: crops in, ranked heads out.

    program = export.build(ofer_jax.load(), shapes=100, expressions=15)
    export.save(program, "exported", export.inputs(reconstructor, found))

`exported/` then holds the program (`jax.export`: CPU, CUDA and TPU, any number of faces), what it
reads beside the faces (`arrays.npz`: head, networks), a loader, and what is what (`manifest.json`,
README.md). docs/serving.md tells how it is used.
"""

from ofer_jax.export.manifest import FILES
from ofer_jax.export.program import PLATFORMS, Program, build, check_target, inputs, save

__all__ = ["FILES", "PLATFORMS", "Program", "build", "check_target", "inputs", "save"]
