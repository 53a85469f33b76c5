"""OOX-1: the OFER-JAX protocol for occluded expressive faces, version 1.

For any set of pictures with ground truth in FLAME's topology: each picture clean and behind an
occluder that is drawn by a fixed seed, so that the list of occluders is the same for everyone.
`visibility` tells which vertices of the face are hidden, `figures` how near, how wide and how sure
the samples are there and elsewhere, `plausibility` whether they are faces at all, `report` puts it
into tables. Made in the spirit of OFER's CO-545, which was never released: its figures do not
compare with these.
"""

from ofer_jax.occluded_expressions.figures import KINDS, Measured, measure
from ofer_jax.occluded_expressions.visibility import GROUPS, groups

NAME = "OOX-1"
__all__ = ["GROUPS", "KINDS", "NAME", "Measured", "groups", "measure"]
