"""The FLAME layer in eager PyTorch, written from the papers, for comparisons of speed.

Loper et al., "SMPL", SIGGRAPH Asia 2015; Li et al., "FLAME", SIGGRAPH Asia 2017. Blend shapes are
one matrix product, the motions of all vertices one more, and then each vertex is moved by its own.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofer_jax.flame import FlameModel


class Flame(nn.Module):
    """Coefficients to vertices of a head, metres."""

    def __init__(self, head: FlameModel) -> None:
        super().__init__()
        bases = np.concatenate([head.shapedirs, head.exprdirs], axis=-1)
        self.sizes = head.num_shape, head.num_expression
        self.parents = head.parents
        for name, value in {
            "template": np.asarray(head.v_template),
            "bases": bases.reshape(-1, bases.shape[-1]).T,  # [S + E, 3 V]
            "correctives": np.asarray(head.posedirs).reshape(-1, head.posedirs.shape[-1]).T,
            "regressor": np.asarray(head.J_regressor),
            "weights": np.asarray(head.lbs_weights),
        }.items():
            self.register_buffer(name, torch.tensor(np.ascontiguousarray(value)))

    def forward(
        self,
        shape: Tensor,
        expression: Tensor | None = None,
        jaw: Tensor | None = None,
        pose: Tensor | None = None,
    ) -> Tensor:
        """Shape [B, s], expression [B, e] and axis-angles to vertices [B, V, 3]: the jaw's [B, 3]
        or, as `pose`, all five joints' [B, J, 3] (root, neck, jaw, left eye, right eye).
        What is left out is zero, as coefficients beyond those given are."""
        batch, wanted = len(shape), self.sizes
        values = [shape] if expression is None else [F.pad(shape, (0, wanted[0] - shape.shape[1]))]
        values += [] if expression is None else [expression]
        given = torch.cat(values, dim=1)
        shaped = self.template + (given @ self.bases[: given.shape[1]]).view(batch, -1, 3)
        if jaw is not None:
            pose = F.pad(jaw[:, None], (0, 0, 2, len(self.parents) - 3))
        if pose is None:
            return shaped
        turns = rotations(pose)
        bent = (turns[:, 1:] - torch.eye(3)).flatten(1) @ self.correctives
        posed = shaped + bent.view(batch, -1, 3)
        motions = self.motions(turns, self.regressor @ shaped)  # [B, J, 3, 4]
        of_vertices = (self.weights @ motions.flatten(2)).unflatten(-1, (3, 4))
        return (of_vertices[..., :3] @ posed[..., None])[..., 0] + of_vertices[..., 3]

    def motions(self, turns: Tensor, joints: Tensor) -> Tensor:
        """Each joint's rigid motion [B, J, 3, 4] of the unposed space, parents before children."""
        about = joints - (turns @ joints[..., None])[..., 0]
        local = F.pad(torch.cat([turns, about[..., None]], dim=-1), (0, 0, 0, 1))
        local[..., 3, 3] = 1
        found: list[Tensor] = []
        for j, parent in enumerate(self.parents):
            found.append(local[:, j] if parent < 0 else found[parent] @ local[:, j])
        return torch.stack(found, dim=1)[:, :, :3]


def rotations(axis_angle: Tensor) -> Tensor:
    """Rodrigues' formula: [..., 3], radians, to matrices [..., 3, 3]."""
    angle = axis_angle.norm(dim=-1, keepdim=True).clamp_min(1e-8)
    x, y, z = (axis_angle / angle).unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    sine, cosine = angle[..., None].sin(), angle[..., None].cos()
    return torch.eye(3) + sine * cross + (1 - cosine) * (cross @ cross)
