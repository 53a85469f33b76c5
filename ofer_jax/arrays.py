"""The shape legend of the project and the jaxtyping names every module takes from here.

| letter | meaning                                   | size in FLAME |
| ------ | ----------------------------------------- | ------------- |
| B      | batch                                     |               |
| V      | vertices                                  | 5023          |
| F      | triangles                                 | 9976          |
| J      | joints: root, neck, jaw, left eye, right eye | 5          |
| S      | shape coefficients                        | 300           |
| E      | expression coefficients                   | 100           |
| P      | pose correctives, 9 (J - 1)               | 36            |
| K      | candidates (shape samples of one picture) | 100           |
| M      | expression samples of one picture         | 15            |
| D      | coefficients that a denoiser works on     | 300 or 53     |
| C      | condition (context) of a network          | 512 or 1024   |
| T      | diffusion steps                           | 1000          |
| N      | noise arrays or sampling steps            |               |

Units: metres, radians, axis-angle. The head looks along +z, y is up, x to the subject's left.
"""

from __future__ import annotations

from jax import Array
from jaxtyping import Bool, Float, Int, Key, UInt8

PRNGKey = Key[Array, ""]
Scalar = Float[Array, ""]

__all__ = ["Array", "Bool", "Float", "Int", "Key", "PRNGKey", "Scalar", "UInt8"]
