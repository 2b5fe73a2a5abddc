"""3x3 convolutions in Winograd's form F(4x4, 3x3) on a CPU: 2.25 products per output instead of 9.

Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016. Maps that lie one behind the other
along the channels (dense blocks) are transformed once each and never joined. In fp32 the error is about five times
that of the direct sum, 5e-5 for outputs of order one.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from ann_part.rewrite.graph import aten, calls, put, same_convolution, sources

TILE = 4
"""Side of the outputs of one tile; its inputs have two more."""
MIN_CHANNELS = 32
"""Below, the transforms cost more than the products they save."""
_INPUT = torch.tensor(
    [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
     [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1.0]]
)  # fmt: skip
_WEIGHT = torch.tensor(
    [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6],
     [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1.0]], dtype=torch.float64,
)  # fmt: skip
_OUTPUT = torch.tensor([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1.0]])
_INPUT_2D, _OUTPUT_2D = torch.kron(_INPUT, _INPUT), torch.kron(_OUTPUT, _OUTPUT)


def transform_weight(weight: Tensor) -> Tensor:
    """[O, C, 3, 3] to [36, C, O]."""
    lifted = torch.einsum("ak,oikl,bl->abio", _WEIGHT, weight.double(), _WEIGHT)
    return lifted.reshape(36, weight.shape[1], weight.shape[0]).float().contiguous()


def transform_input(maps: Tensor) -> Tensor:
    """[B, C, H, W] to [36, B * tiles, C], zeros around."""
    batch, channels, height, width = maps.shape
    rows, columns = -(-height // TILE), -(-width // TILE)
    padded = maps.new_zeros(batch, TILE * rows + 2, TILE * columns + 2, channels)
    padded[:, 1 : 1 + height, 1 : 1 + width] = maps.permute(0, 2, 3, 1)
    image, row, column, _ = padded.stride()
    tiles = padded.as_strided(
        (6, 6, batch, rows, columns, channels), (row, column, image, TILE * row, TILE * column, 1)
    )
    return (_INPUT_2D @ tiles.reshape(36, -1)).view(36, -1, channels)


def transform_output(products: Tensor, bias: Tensor, shape: torch.Size) -> Tensor:
    """[36, B * tiles, O] to [B, O, H, W] in channels-last memory, for maps of `shape`."""
    batch, _, height, width = shape
    rows, columns = -(-height // TILE), -(-width // TILE)
    out = (_OUTPUT_2D @ products.view(36, -1)).view(TILE, TILE, batch, rows, columns, len(bias))
    # a sum with the bias in this order writes the maps in their places at once
    whole = torch.empty(batch, rows, TILE, columns, TILE, len(bias))
    torch.add(out.permute(2, 3, 0, 4, 1, 5), bias, out=whole)
    return whole.view(batch, TILE * rows, TILE * columns, -1)[:, :height, :width].permute(0, 3, 1, 2)


class WinogradConvolution(nn.Module):
    """A 3x3 convolution of maps that come in parts, already transformed.

    Args:
        weight: [O, C, 3, 3].
        bias: [O].
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("bias", bias.detach())
        self.register_buffer("weight", transform_weight(weight.detach()))

    def forward(self, parts: list[Tensor], like: Tensor) -> Tensor:
        """Transformed parts [36, B * tiles, C_i], together C, of maps of the size of `like` to [B, O, H, W]."""
        weights = self.weight.split([part.shape[2] for part in parts], dim=1)
        products = torch.bmm(parts[0], weights[0])
        for part, weight in zip(parts[1:], weights[1:], strict=True):
            products.baddbmm_(part, weight)
        return transform_output(products, self.bias, like.shape)


def winograd_convolutions(module: fx.GraphModule) -> None:
    """Give every wide enough 3x3 convolution of stride 1 Winograd's form, sharing the transforms of its sources."""
    transformed: dict[fx.Node, fx.Node] = {}
    for node in calls(module, aten.convolution.default):
        found = same_convolution(module, node, 3)
        if found is None or min(found[0].shape[:2]) < MIN_CHANNELS:
            continue
        parts = sources(node.args[0])
        for part in parts:
            if part not in transformed:
                with module.graph.inserting_before(node):
                    transformed[part] = module.graph.call_function(transform_input, (part,))
        put(module, node, "winograd", WinogradConvolution(*found), [transformed[part] for part in parts], parts[0])
