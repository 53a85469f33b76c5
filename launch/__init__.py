"""Command-line entry points, run from a checkout: `python -m launch.NAME --help`."""

import logging

# absl shows INFO, at which JAX tells of every kind of device that the machine lacks.
logging.getLogger("jax._src.xla_bridge").setLevel(logging.WARNING)
