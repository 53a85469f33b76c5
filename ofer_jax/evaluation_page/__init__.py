"""One HTML page of what the commands of `launch.evaluate` found: their JSON in, text out.

The page is a single file that asks for nothing: style, curves and pictures are inside, there is no
script, and colours follow the reader's scheme. Every text of a report is escaped; the sentences at
the top are made from the figures and their intervals.
"""

from ofer_jax.evaluation_page.files import illustrated, read
from ofer_jax.evaluation_page.page import PARTS, Found, kind, write

__all__ = ["PARTS", "Found", "illustrated", "kind", "read", "write"]
