"""Convolve maps that were enlarged by repetition without enlarging them first.

Under a 3x3 kernel, neighbours within a repeated place have equal values, so the products of each of the nine weights
with each place are made once at the small size and then added where they fall: g * g times fewer products.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from ann_part.rewrite.graph import aten, calls, constant, insert, same_convolution, sources, store, width


class LowResolutionConvolution(nn.Module):
    """A 3x3 convolution, without its bias, of maps that are enlarged `grow` times along each side by repetition.

    Args:
        weight: [O, C, 3, 3].
        grow: at least 2, so that a kernel reaches one neighbour only.
    """

    def __init__(self, weight: Tensor, grow: int) -> None:
        super().__init__()
        self.grow = grow
        self.register_buffer("weight", weight.detach().permute(2, 3, 0, 1).flatten(0, 2).contiguous())  # [9 * O, C]

    def forward(self, maps: Tensor) -> Tensor:
        """[B, C, h, w] to [B, O, h * grow, w * grow], channels last."""
        batch, _, height, width = maps.shape
        products = nn.functional.linear(maps.permute(0, 2, 3, 1), self.weight)
        by_weight = products.view(batch, height, width, 3, 3, -1).permute(3, 4, 0, 1, 2, 5)  # [ky, kx, B, h, w, O]
        rows = self._along(by_weight, axis=2)
        both = self._along(rows, axis=3)  # [grow_x, grow_y, B, h, w, O]
        out = both.permute(2, 3, 1, 4, 0, 5).reshape(batch, height * self.grow, width * self.grow, -1)
        return out.permute(0, 3, 1, 2)

    def _along(self, products: Tensor, axis: int) -> Tensor:
        """Sum over the kernel [3, ...] along one side; gives the places inside each repeated one [..., grow] in front.

        The side itself is axis `axis` of what remains when the kernel's axis is taken off the front.
        """
        before, at, after = products.unbind(0)
        middle = before + at + after
        first = at + after + _shifted(before, axis, 1)
        last = before + at + _shifted(after, axis, -1)
        places = torch.stack([first, *[middle] * (self.grow - 2), last])
        return places.movedim(1, 0) if axis == 2 else places


def _shifted(x: Tensor, axis: int, by: int) -> Tensor:
    """Values of the neighbour `by` places before, zero beyond the border."""
    out, size = torch.zeros_like(x), x.shape[axis]
    if size > 1:
        out.narrow(axis, max(by, 0), size - 1).copy_(x.narrow(axis, max(-by, 0), size - 1))
    return out


def low_resolution_convolutions(module: fx.GraphModule) -> None:
    """Take enlarged maps out of 3x3 convolutions, and convolve them at their own size."""
    for node in calls(module, aten.convolution.default):
        found, parts = same_convolution(module, node, 3), sources(node.args[0])
        enlarged = [_enlarged(module, part) for part in parts]
        if found is not None and any(enlarged):
            _split(module, node, *found, parts, enlarged)


def _split(
    module: fx.GraphModule, node: fx.Node, weight: Tensor, bias: Tensor, parts: list[fx.Node],
    enlarged: list[tuple[fx.Node, int] | None],
) -> None:  # fmt: skip
    weights = weight.split([width(part) for part in parts], dim=1)
    rest = [i for i, small in enumerate(enlarged) if small is None]
    with module.graph.inserting_before(node):
        if rest:
            joined = module.graph.call_function(aten.cat.default, ([parts[i] for i in rest], 1))
            names = [store(module, f"{node.name}_weight", torch.cat([weights[i] for i in rest], 1)),
                     store(module, f"{node.name}_bias", bias)]  # fmt: skip
            kept = [module.graph.get_attr(name) for name in names]
            total = module.graph.call_function(aten.convolution.default, (joined, *kept, *node.args[3:]))
        else:
            total = module.graph.get_attr(store(module, f"{node.name}_bias", bias[:, None, None]))
        for i, small in enumerate(enlarged):
            if small is not None:
                child = LowResolutionConvolution(weights[i], small[1])
                product = insert(module, f"low_resolution_{node.name}_{i}", child, small[0])
                total = module.graph.call_function(aten.add.Tensor, (product, total))
    node.replace_all_uses_with(total)
    module.graph.erase_node(node)


def _enlarged(module: fx.GraphModule, node: Any) -> tuple[fx.Node, int] | None:
    """What `node` enlarges by repetition and how many times, the same along both sides."""
    if node.target == aten.upsample_nearest2d.vec and isinstance(node.args[0], fx.Node):
        sizes = [x.meta["val"].shape[-2:] for x in (node, node.args[0])]
        ratios = {divmod(int(large), int(small)) for large, small in zip(*sizes, strict=True)}
        grow, left = ratios.pop()
        return (node.args[0], grow) if not ratios and not left and grow > 1 else None
    if node.target != aten._unsafe_index.Tensor:
        return None
    small, places = node.args
    batch, channel, rows, columns = list(places)
    indices = [constant(module, x) for x in (rows, columns)]
    if batch is not None or channel is not None or not isinstance(small, fx.Node):
        return None
    grows = {0 if x is None else _repeats(x.flatten()) for x in indices}
    grow = grows.pop()
    return (small, grow) if not grows and grow > 1 else None


def _repeats(index: Tensor) -> int:
    """How often each place is repeated by an index 0, 0, 1, 1, ...; 0 for any other index."""
    places = int(index[-1]) + 1
    grow, left = divmod(len(index), places)
    plain = torch.arange(places, device=index.device).repeat_interleave(grow)
    return grow if not left and bool(torch.equal(plain, index)) else 0
