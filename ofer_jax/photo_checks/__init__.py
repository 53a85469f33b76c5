"""Checks of a bundle on photographs of which no scan exists: any folder of pictures will do.

Consistency (`consistency`): the same photograph changed in ways that change no face (`variants`)
should give a nearer face than another photograph does. Reprojection (`reprojection`): the answer
should explain points of the picture that nothing was fitted to better than the mean face does.
`run` measures both, `known` the second on
pictures of heads whose form is known, `report` puts them into a table.
"""

from ofer_jax.photo_checks.answers import Answers, known, run

__all__ = ["Answers", "known", "run"]
