"""Line 1 of the contract in torch: exact integer sums by float32 products.

A validated network bounds every accumulator, hence every partial sum, by 2^17 (each partial sum lies between
the sum of all negative and the sum of all positive terms). Float32 holds integers up to 2^24, so any order of
summation gives the same bits. What must not happen is arithmetic below float32 or a transformed convolution
(TF32, bfloat16, Winograd): `exact_arithmetic` rules them out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F

from hwsim.mapping.geometry import Shape3, shape3
from snn_export.network import Connection, Conv2d, Dense, IntArray, Sparse, SumPool2d, Synapse

Operation = Callable[[torch.Tensor], torch.Tensor]


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Full float32 products, without the algorithms of cuDNN and NNPACK, for the time of a run; gradients are off.

    PyTorch gives odd convolutions of 16 inputs and more to NNPACK, whose transforms are not exact.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with (
            torch.inference_mode(),
            torch.backends.cudnn.flags(enabled=False),
            torch.backends.nnpack.flags(enabled=False),
        ):
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
        self.source = connection.source
        self._apply = _operation(connection.synapse, shape3(source), device, mask)

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """The sums of weight times value, float32 [N, C, H, W]."""
        return self._apply(values)


def _operation(synapse: Synapse, source: Shape3, device: torch.device, mask: bool) -> Operation:
    if isinstance(synapse, SumPool2d):
        return _pooling(synapse)
    weight: IntArray = synapse.weight != 0 if mask else synapse.weight
    if isinstance(synapse, Conv2d):
        return _convolution(synapse, weight, _common(synapse, source), device)
    if isinstance(synapse, Dense):
        return _matrix(weight, source, device)
    return _list(synapse, weight, source, device)


def _convolution(conv: Conv2d, weight: IntArray, common: bool, device: torch.device) -> Operation:
    geometry = conv.stride, conv.padding, conv.dilation, conv.groups
    if common:
        # channels-last memory for oneDNN
        last = _tensor(weight.transpose(0, 2, 3, 1), device).permute(0, 3, 1, 2)
        return lambda values: F.conv2d(values, last, None, *geometry)
    tensor = _tensor(weight, device)

    def apply(values: torch.Tensor) -> torch.Tensor:
        with torch.backends.mkldnn.flags(enabled=False):
            plain = values.clone(memory_format=torch.contiguous_format)
            return F.conv2d(plain, tensor, None, *geometry)

    return apply


def _pooling(pool: SumPool2d) -> Operation:
    (py, px), kernel, stride = pool.padding, pool.kernel, pool.stride

    def apply(values: torch.Tensor) -> torch.Tensor:
        # a divisor of 1 makes the sum of an average
        return F.avg_pool2d(F.pad(values, (px, px, py, py)), kernel, stride, divisor_override=1)

    return apply


def _matrix(weight: IntArray, source: Shape3, device: torch.device) -> Operation:
    # a weight counts its inputs channel first, the values lie channel last
    matrix = _tensor(weight[:, _channels_last(source)].T, device)
    return lambda values: (values.permute(0, 2, 3, 1).reshape(len(values), -1) @ matrix)[:, :, None, None]


def _list(synapse: Sparse, weight: IntArray, source: Shape3, device: torch.device) -> Operation:
    place = np.argsort(_channels_last(source))  # of each source among values that lie channel last
    index = torch.from_numpy(np.stack([synapse.rows.astype(np.int64), place[synapse.columns]]))
    matrix = torch.sparse_coo_tensor(index, torch.from_numpy(weight.astype(np.float32)), synapse.size).to(device)
    matrix = matrix.coalesce()

    def apply(values: torch.Tensor) -> torch.Tensor:
        flat = values.permute(0, 2, 3, 1).reshape(len(values), -1)
        sums: torch.Tensor = torch.sparse.mm(matrix, flat.T)
        return sums.T[:, :, None, None]

    return apply


def _tensor(weight: IntArray, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(weight, np.float32)).to(device)


def _channels_last(source: Shape3) -> IntArray:
    """Index, channel first, of each value of a source in channels-last order."""
    return np.arange(int(np.prod(source))).reshape(source).transpose(1, 2, 0).reshape(-1)


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
