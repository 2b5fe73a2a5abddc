"""Line 1 of the contract in torch: exact integer sums by float32 products.

A validated network bounds every accumulator, hence every partial sum, by 2^17 (each partial sum lies between
the sum of all negative and the sum of all positive terms). Float32 holds integers up to 2^24, so any order of
summation gives the same bits. What must not happen is arithmetic below float32 or a transformed convolution
(TF32, bfloat16, Winograd): `exact_arithmetic` rules them out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F

from hwsim.mapping.geometry import Shape3, shape3
from snn_export.network import Connection, Conv2d, IntArray


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Full float32 products and no cuDNN algorithms, for the time of a run; gradients are off."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


class SynapseOp:
    """One connection as an operation on values float32 [N, C, H, W] in channels-last memory.

    Args:
        connection: the synapses.
        source: shape of where its values come from.
        device: where to compute.
        mask: use 1 for every nonzero weight: the result counts events instead of weighing them.
    """

    def __init__(
        self, connection: Connection, source: tuple[int, ...], device: torch.device, mask: bool = False
    ) -> None:
        synapse = connection.synapse
        self.source, self._conv = connection.source, synapse if isinstance(synapse, Conv2d) else None
        self._common = self._conv is not None and _common(self._conv, shape3(source))
        weight: IntArray = synapse.weight != 0 if mask else synapse.weight
        if self._conv is None:
            # a dense weight counts its inputs channel first, the values lie channel last
            weight = weight.reshape(-1, *shape3(source)).transpose(0, 2, 3, 1).reshape(weight.shape[0], -1).T
        elif self._common:
            weight = weight.transpose(0, 2, 3, 1)
        tensor = torch.from_numpy(np.ascontiguousarray(weight, np.float32)).to(device)
        self._weight = tensor.permute(0, 3, 1, 2) if self._common else tensor

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """The sums of weight times value, float32 [N, C, H, W]."""
        conv = self._conv
        if conv is None:
            flat = values.permute(0, 2, 3, 1).reshape(len(values), -1)
            return (flat @ self._weight)[:, :, None, None]
        geometry = conv.stride, conv.padding, conv.dilation, conv.groups
        if self._common:
            return F.conv2d(values, self._weight, None, *geometry)
        with torch.backends.mkldnn.flags(enabled=False):
            plain = values.clone(memory_format=torch.contiguous_format)
            return F.conv2d(plain, self._weight, None, *geometry)


def _common(conv: Conv2d, source: Shape3) -> bool:
    """Whether oneDNN may do this convolution.

    Where a size is 1, memory order is ambiguous: PyTorch 2.3 then hands oneDNN wrong strides, which gives
    wrong sums or a crash. The same holds where a whole window lies on padding. PyTorch's own convolution,
    which is slower, is right everywhere.
    """
    out_channels, per_group, *kernel = conv.weight.shape
    inside = all(
        pad <= dilation * (size - 1) for pad, dilation, size in zip(conv.padding, conv.dilation, kernel, strict=True)
    )
    return inside and min(out_channels, per_group, source[1] * source[2], kernel[0] * kernel[1]) > 1


def total(ops: Sequence[SynapseOp], values: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The sum of all connections of a layer, from values [G, H, W, C] by source; float32 [G, H, W, C]."""
    first, *others = (op(values[op.source].permute(0, 3, 1, 2)) for op in ops)
    for other in others:
        first = first + other
    return first.permute(0, 2, 3, 1)
