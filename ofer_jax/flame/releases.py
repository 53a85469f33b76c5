"""Which release of FLAME a file is: told by its name, or said by the user.

The contents cannot tell: every release has the same arrays in the same shapes. A name that is not
the official one (`FLAME_NEUTRAL.pkl`, say) tells nothing. The file of FLAME 2019 is called like
that of 2020: who has it says so.
"""

from __future__ import annotations

import re

# Official file names and release names, letters and digits only.
_TOLD = {
    "genericmodel": "FLAME 2020",
    "flame2020": "FLAME 2020",
    "flame2023": "FLAME 2023",
    "flame2023nojaw": "FLAME 2023 without jaw",
    "flame2023withoutjaw": "FLAME 2023 without jaw",
    "flame2023open": "FLAME 2023 Open",
    "openhead1": "open-head-1",
}
_MAX_LENGTH = 40


def told(name: str) -> str:
    """The release that a file's name (without its suffix) tells; '' if it tells none."""
    return _TOLD.get(re.sub(r"[^a-z0-9]", "", name.lower()), "")


def said(text: str) -> str:
    """The release that a user names: '2020', '2023 open', 'FLAME 2023 without jaw', or any other.

    Raises a ValueError of one line if it is empty, too long or not printable.
    """
    text = text.strip()
    if not text.isprintable() or not 0 < len(text) <= _MAX_LENGTH:
        raise ValueError(f"a release is named in 1 to {_MAX_LENGTH} letters, not {text[:60]!r}")
    return told(text) or told(f"flame{text}") or text
