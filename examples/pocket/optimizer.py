"""The optimizer: Muon for the matrices, Adam for the embedding and the norms.

Adam (Kingma and Ba 2014) scales every weight's step by itself. Muon takes the matrix as a whole: it makes the momentum orthogonal, so that
all directions of a matrix are learnt equally fast and not only the few in which most of the gradient points. For the
small matrices of this model that costs little; J. Liu and others report about half of AdamW's computation for the same
loss with far larger models. How much it is here was not measured.
After K. Jordan, "Muon: An optimizer for hidden layers in neural networks" (2024); the scale of a step is that of
J. Liu and others, "Muon is scalable for LLM training" (2025): as large as a typical step of AdamW.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def orthogonal(stack: Tensor, steps: int = 5) -> Tensor:
    """Nearly orthogonal matrices near those of ``stack`` (count, rows, columns): Newton and Schulz's iteration.

    Each step applies an odd polynomial to the singular values; the coefficients drive all of them to about one.
    """
    wide = stack.shape[1] <= stack.shape[2]
    x: Tensor = (stack if wide else stack.mT).bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * (square @ square)) @ x
    return (x if wide else x.mT).float()


class Muon:
    """Steps for all parameters of a model; the state is a flat table of tensors, to be saved with the checkpoint.

    ``decay`` pulls the matrices towards zero, by this share times the rate at each step; ``momentum`` is what the moving
    sum of gradients keeps. The embedding and the norms do not decay: they are looked up, or scales near one.
    """

    def __init__(self, model: nn.Module, decay: float = 0.05, momentum: float = 0.95) -> None:
        self.decay, self.momentum = decay, momentum
        shapes: dict[torch.Size, list[str]] = {}
        self.parameters = dict(model.named_parameters())
        rest: list[nn.Parameter] = []
        for name, parameter in self.parameters.items():
            if parameter.dim() == 2 and "layers" in name:
                shapes.setdefault(parameter.shape, []).append(name)
            else:
                rest.append(parameter)
        self.groups = list(shapes.values())
        self.moving = {name: torch.zeros_like(self.parameters[name]) for group in self.groups for name in group}
        self.adam = torch.optim.AdamW(rest, betas=(0.9, 0.98), weight_decay=0.0, fused=True)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One step with the learning rate ``rate``; gradients are taken from the parameters and cleared.

        The steps of Muon are as long as typical ones of AdamW with ``rate``: ``scale`` gives a change of orthogonal
        directions a root mean square of 0.2. The momentum looks one step ahead (Nesterov).
        """
        for group in self.groups:
            gradients = torch.stack([_gradient(self.parameters[name]) for name in group])
            moving = torch.stack([self.moving[name] for name in group]).mul_(self.momentum).add_(gradients)
            for name, value in zip(group, moving, strict=True):
                self.moving[name].copy_(value)
            update = orthogonal(gradients + self.momentum * moving)
            scale = 0.2 * max(update.shape[1:]) ** 0.5
            for name, change in zip(group, update, strict=True):
                self.parameters[name].mul_(1 - rate * self.decay).add_(change, alpha=-rate * scale)
        for options in self.adam.param_groups:
            options["lr"] = 0.6 * rate  # a little slower: the embedding is the input and the output at once
        self.adam.step()
        for parameter in self.parameters.values():
            parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        """The state by name."""
        table = {f"moving.{name}": value for name, value in self.moving.items()}
        for name, parameter in self.parameters.items():
            for key, value in self.adam.state.get(parameter, {}).items():
                table[f"{key}.{name}"] = value
        return table

    def load(self, table: dict[str, Tensor]) -> None:
        """Take over a state from :meth:`state`."""
        for name in self.moving:
            self.moving[name].copy_(table[f"moving.{name}"])
        for name, parameter in self.parameters.items():
            if name not in self.moving:
                self.adam.state[parameter] = {key: table[f"{key}.{name}"] for key in ("exp_avg", "exp_avg_sq", "step")}


def _gradient(parameter: nn.Parameter) -> Tensor:
    """The gradient, zero if there is none."""
    return parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
