"""From the files of the published weights to variables of our networks, and to a whole bundle."""

from ofer_jax.importers.assembly import bundle_of
from ofer_jax.importers.files import Published, arcface, farl, read

__all__ = ["Published", "arcface", "bundle_of", "farl", "read"]
