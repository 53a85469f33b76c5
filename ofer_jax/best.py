"""The best averaged params of a run: each part from where its own held-out figure was smallest."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ofer_jax.checkpoint import Checkpoints


def layout(parts: Mapping[str, Any], abstract_params: Any) -> dict[str, Any]:
    """The shapes of what is saved as best."""
    return {
        "params": dict(abstract_params),
        "values": {n: np.array(0.0) for n in parts},
        "steps": {n: np.array(0) for n in parts},
    }


class Best:
    """Keeps the best so far, on disk too.

    `tree` = {'params', 'values': {figure: value}, 'steps': {figure: step}} is saved whenever it
    changes; a resumed run reads it, and repeats of evaluations change nothing. `parts` says which
    parts of the params are judged by which figure.
    """

    def __init__(self, parts: Mapping[str, Any], checkpoints: Checkpoints, abstract: Any) -> None:
        self.parts, self.checkpoints = parts, checkpoints
        self.tree: Any = checkpoints.load_best(layout(parts, abstract))

    def update(self, step: int, params: Any, figures: Mapping[str, float]) -> None:
        """Take over what is better than before and save."""
        names = [n for n in self.parts if n in figures]
        if self.tree is None:
            values = {n: np.array(np.inf) for n in self.parts}
            steps = {n: np.array(0) for n in self.parts}
            self.tree = {"params": dict(params), "values": values, "steps": steps}
        better = [n for n in names if figures[n] < self.tree["values"][n]]
        if not better:
            return
        for name in better:
            self.tree["values"][name] = np.array(figures[name])
            self.tree["steps"][name] = np.array(step)
            self.tree["params"] |= {part: params[part] for part in self.parts[name]}
        # The live params' buffers are given away at the next step, so what is kept is a copy.
        self.tree["params"] = jax.tree.map(lambda x: x.copy(), self.tree["params"])
        self.checkpoints.save_best(self.tree)

    def stale(self, step: int, patience: int) -> bool:
        """Whether nothing got better for `patience` steps (0: never), judged after `step`."""
        if not patience or self.tree is None:
            return False
        return step - max(map(int, self.tree["steps"].values())) >= patience
