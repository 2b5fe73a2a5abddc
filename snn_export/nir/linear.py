"""Chains of linear NIR nodes as one synapse.

Between two populations a network here has one synapse. Pooling before or after a convolution, pooling before a
matrix, and scaling are multiplied out; two matrices or two full convolutions in a row are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from snn_export.network import Conv2d, Dense, IntArray, Sparse, SumPool2d, Synapse
from snn_export.nir.compose import Weighted, as_conv, compose
from snn_export.nir.graph import Node
from snn_export.nir.neurons import per_channel


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """What arrives from one population through linear nodes: ``gain * synapse(s) + bias``.

    Attributes:
        source: name of the population or port.
        entry: its shape.
        shape: shape after the nodes so far; (C, H, W) still behind a Flatten, which moves no value.
        synapse: their weights, float64; None as long as there are none.
        gain: [1] or [channels of the result].
        bias: [1] or [channels of the result].
        flat: whether a Flatten came by.
    """

    source: str
    entry: tuple[int, ...]
    shape: tuple[int, ...]
    synapse: Weighted | None = None
    gain: IntArray = field(default_factory=lambda: np.ones(1))
    bias: IntArray = field(default_factory=lambda: np.zeros(1))
    flat: bool = False

    def finish(self, gain: IntArray) -> Synapse:
        """The synapse, with the chain's gain and a further one of the neurons in its weights."""
        factor = self.gain * gain
        if self.synapse is None:
            return _diagonal(self.shape, factor)
        if isinstance(self.synapse, SumPool2d) and (factor == 1).all():
            return self.synapse
        whole = self.synapse if isinstance(self.synapse, Dense) else as_conv(self.synapse, self.shape[0])
        return replace(whole, weight=whole.weight * factor.reshape(-1, *(1 for _ in whole.weight.shape[1:])))


def extend(chain: Chain, node: Node, first: bool) -> Chain:
    """The chain with one node more.

    Args:
        chain: what arrives at the node.
        node: of one of `graph.LINEAR`, or a port of a subgraph.
        first: whether the node's bias goes with this chain; of several that meet in a node one carries it.

    Raises:
        NetworkError: naming the node, where it does not fit or cannot be multiplied out.
    """
    if node.op == "Flatten":
        return replace(chain, flat=True)
    if node.op == "Scale":
        scale = per_channel(node, node.numbers("scale"), chain.shape, "scale")
        return replace(chain, gain=chain.gain * scale, bias=chain.bias * scale)
    try:
        if chain.flat and node.op in ("SumPool2d", "AvgPool2d", "Conv2d"):
            raise ValueError("its input was flattened")
        if node.op in ("SumPool2d", "AvgPool2d"):
            return _pool(chain, node)
        if node.op in ("Conv2d", "Linear", "Affine"):
            return _weights(chain, node, first)
    except (ValueError, ZeroDivisionError) as error:
        if hasattr(error, "fix"):
            raise
        raise node.error(str(error), "put neurons between, or export the network again") from error
    return chain


def _pool(chain: Chain, node: Node) -> Chain:
    kernel = node.pair("kernel_size")
    pool = SumPool2d(kernel, node.pair("stride"), node.pair("padding"))
    shape, area = pool.output_shape(chain.shape), kernel[0] * kernel[1]
    if chain.bias.any() and any(pool.padding):
        raise ValueError("it pads values that carry a bias")
    mean = 1 / area if node.op == "AvgPool2d" else 1.0
    whole = pool if chain.synapse is None else compose(chain.synapse, pool, chain.entry)
    return Chain(chain.source, chain.entry, shape, whole, chain.gain * mean, chain.bias * mean * area)


def _weights(chain: Chain, node: Node, first: bool) -> Chain:
    synapse = _conv(node, chain.shape) if node.op == "Conv2d" else _dense(node, chain.shape)
    shape = synapse.output_shape(chain.shape)
    bias = node.numbers("bias", 0).ravel() if first and node.op != "Linear" else np.zeros(1)
    if bias.size not in (1, shape[0]):
        raise ValueError(f"its bias has {bias.size} values for {shape[0]} outputs")
    if chain.bias.any():
        bias = bias + _carried(chain, synapse)
    synapse = _with_input_gain(synapse, chain.gain, chain.shape)
    whole = synapse if chain.synapse is None else compose(chain.synapse, synapse, chain.entry)
    return Chain(chain.source, chain.entry, shape, whole, np.ones(1), bias)


def _dense(node: Node, shape: tuple[int, ...]) -> Dense:
    weight = node.numbers("weight")
    if weight.ndim != 2:
        raise ValueError(f"its weight of shape {weight.shape} is no matrix")
    return Dense(weight)


def _conv(node: Node, shape: tuple[int, ...]) -> Conv2d:
    weight, stride, dilation = node.numbers("weight"), node.pair("stride"), node.pair("dilation")
    if weight.ndim != 4:
        raise ValueError(f"its weight of shape {weight.shape} is not (out, in, rows, columns)")
    padding, groups = node.fields.get("padding"), node.pair("groups")[0]
    if padding not in ("valid", "same") if isinstance(padding, str) else True:
        return Conv2d(weight, stride, node.pair("padding"), dilation, groups)
    if padding == "valid":
        return Conv2d(weight, stride, (0, 0), dilation, groups)
    total = [d * (n - 1) for d, n in zip(dilation, weight.shape[2:], strict=True)]
    if stride != (1, 1):
        raise ValueError("padding 'same' with a stride other than 1 has no meaning")
    # torch puts the odd row of zeros behind: a row of zero weights in front moves it to both sides
    odd = [n % 2 for n in total]
    weight = np.pad(_dilated(weight, dilation) if any(odd) else weight, ((0, 0), (0, 0), (odd[0], 0), (odd[1], 0)))
    return Conv2d(weight, stride, ((total[0] + odd[0]) // 2, (total[1] + odd[1]) // 2),
                  (1, 1) if any(odd) else dilation, groups)  # fmt: skip


def _dilated(weight: IntArray, dilation: tuple[int, int]) -> IntArray:
    """The kernel with its holes written out."""
    (rows, columns), (dy, dx) = weight.shape[2:], dilation
    full = np.zeros((*weight.shape[:2], dy * (rows - 1) + 1, dx * (columns - 1) + 1))
    full[:, :, ::dy, ::dx] = weight
    return full


def _carried(chain: Chain, synapse: Conv2d | Dense) -> IntArray:
    """What a constant input of the chain's bias gives, [outputs]."""
    if isinstance(synapse, Dense):
        return np.asarray(synapse.weight @ _spread(chain.bias, chain.shape))
    if any(synapse.padding):
        raise ValueError("it pads values that carry a bias")
    return np.asarray(_with_input_gain(synapse, chain.bias, chain.shape).weight.sum((1, 2, 3)))


def _with_input_gain(synapse: Conv2d | Dense, gain: IntArray, shape: tuple[int, ...]) -> Conv2d | Dense:
    """`synapse` of inputs of `shape` multiplied by `gain`, [1] or [input channels]."""
    if isinstance(synapse, Dense):
        return replace(synapse, weight=synapse.weight * _spread(gain, shape))
    outputs = synapse.weight.shape[0] // synapse.groups
    rows = np.broadcast_to(gain, shape[:1]).reshape(synapse.groups, -1).repeat(outputs, axis=0)
    return replace(synapse, weight=synapse.weight * rows[:, :, None, None])


def _spread(channels: IntArray, shape: tuple[int, ...]) -> IntArray:
    """One number per channel as one per value of `shape`, flat."""
    return np.broadcast_to(channels.reshape(-1, *(1 for _ in shape[1:])), shape).ravel()


def _diagonal(shape: tuple[int, ...], factor: IntArray) -> Synapse:
    """One synapse per neuron, of the factor of its channel."""
    weight = np.array(np.broadcast_to(factor, shape[:1]))
    if len(shape) == 3:
        return Conv2d(weight.reshape(-1, 1, 1, 1), groups=shape[0])
    index = np.arange(shape[0], dtype=np.int32)
    return Sparse(weight, index, index, (shape[0], shape[0]))
