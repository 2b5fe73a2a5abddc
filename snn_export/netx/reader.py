"""A netx file as a SpikingNetwork that gives the same spikes as netx does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from snn_export.hdf5 import Tree, read_tree
from snn_export.network import (
    DECAY_BITS,
    LIF,
    STATE_SHIFT,
    THRESHOLD_LIMIT,
    Connection,
    Conv2d,
    Dense,
    InputPort,
    IntArray,
    Layer,
    Reset,
    SpikingNetwork,
)
from snn_export.netx.dense import effective
from snn_export.netx.fields import Record
from snn_export.netx.limits import BIAS_LIMIT
from snn_export.netx.synapses import identity, split

WEIGHT_LIMIT = 256
"""Weights of lava-dl have 9 bits, sign included."""
INPUT_BITS = 13
"""Bits of what an input neuron adds to its potential: Lava keeps 13 of a bias."""
LAVA_DL_SCALE = 1 / 64
"""The real value that one unit of a lava-dl weight stands for."""
REFUSED = {
    "pool": "train with strided convolutions",
    "unpool": "train without unpooling",
    "convT": "train without transposed convolutions",
    "average": "leave the last layer out of the export, and average outside",
    "concat": "train without joining layers",
    "dense_rec": "train without recurrent layers",
    "dense_comp": "train with CUBA neurons",
}
"""Layers of lava-dl that have no counterpart here, most of them not in netx either, and what to do instead."""
SILENT = {"delay": 0, "refDelay": 1, "gradedSpike": 0, "wgtExp": 0, "weight_exp": 0}
"""Fields that netx does not look at, with the value at which nothing is lost."""


def read(path: Path, *, bits: int = 1, input_shape: tuple[int, ...] | None = None) -> SpikingNetwork:
    """Read a file of CUBA-LIF convolutions and dense layers.

    Args:
        path: the file; one that `write` made gives back what it was made from, read-outs with `Reset.NONE`.
        bits: of the values that enter, as `InputPort.bits`: the file does not say, unless it is ours.
        input_shape: (C, H, W) or (N,), for a file whose first layer is a convolution.

    Raises:
        NetworkError: naming file, layer and field, for what is no netx file or cannot be run as it is meant.
        MissingLibraryError: without h5py.
    """
    return from_tree(read_tree(path, "netx"), str(path), bits=bits, input_shape=input_shape)


def from_tree(tree: Tree, where: str, *, bits: int = 1, input_shape: tuple[int, ...] | None = None) -> SpikingNetwork:
    """As `read`, of the file's contents; `where` is what to call the file in an error."""
    root = Record(tree, where)
    layers = root.record("layer")
    builder = _Builder(bits, input_shape)
    for i in range(len(layers.tree)):
        builder.add(layers.record(str(i)), i)
    return builder.network(root)


class _Builder:
    """The chain as far as it is read."""

    def __init__(self, bits: int, shape: tuple[int, ...] | None) -> None:
        self.bits, self.shape = bits, shape
        self.port: InputPort | None = None
        self.layers: list[Layer] = []
        self.flat = False

    def add(self, record: Record, i: int) -> None:
        kind = record.text("type")
        if kind == "input" and i == 0:
            self.input(record)
        elif kind == "flatten":
            self.flat = True
        elif kind in ("conv", "dense"):
            self.layer(record, kind, i)
        else:
            fix = REFUSED.get(kind, "put it first" if kind == "input" else "use input, conv, flatten and dense layers")
            raise record.error("type", f"a layer of type {kind!r} cannot be run here", fix)

    def input(self, record: Record) -> None:
        shape = _shape(record, "shape")
        name = record.text("name") if "name" in record else "input"
        if "neuron" not in record:
            bits, scale = record.integer("bits", self.bits), _scale(record, "scale", np.ones(1))
            self.start(InputPort(name, shape, bits, float(scale[0])))
            return
        weight, bias = record.integer("weight", 64), record.integer("bias", 0)
        if weight < 1:
            raise record.error("weight", f"{weight}: values enter multiplied by it", "use a positive weight")
        bits = record.integer("bits", INPUT_BITS)
        self.start(InputPort(name, shape, bits, _scale(record, "scale", np.array([1 / weight]))[0].item()))
        neuron = _neuron(record.record("neuron"), shape, np.array([bias << STATE_SHIFT], np.int32), memory=False)
        layer_name = record.text("layer_name") if "layer_name" in record else "input0"
        scale = _scale(record, "layer_scale", np.array([LAVA_DL_SCALE]))
        self.layers.append(Layer(layer_name, shape, (Connection(name, identity(shape)),), neuron, scale))

    def start(self, port: InputPort) -> None:
        self.port, self.shape = port, port.shape

    def layer(self, record: Record, kind: str, i: int) -> None:
        synapse = self.conv(record) if kind == "conv" else self.dense(record)
        if self.shape is None:
            raise record.error("", "the file does not say the shape of its input", "pass input_shape=(C, H, W)")
        if self.port is None:
            self.start(InputPort("input", self.shape, self.bits))
        assert self.port is not None
        shape = _output_shape(record, synapse, self.shape)
        if kind == "conv" and _shape(record, "shape") != shape:
            raise record.error("shape", f"{_shape(record, 'shape')}, where its weights give {shape}")
        _refuse_silent(record)
        neuron = LIF(np.zeros(1, np.int32), np.zeros(1, np.int32), Reset.NONE, True, 2**DECAY_BITS)
        if "neuron" in record or kind == "conv":
            neuron = _neuron(record.record("neuron"), shape, _bias(record, shape))
        name = record.text("name") if "name" in record else f"{kind}{i}"
        source = self.layers[-1].name if self.layers else self.port.name
        scale = _scale(record, "scale", np.array([LAVA_DL_SCALE]))
        self.layers.append(Layer(name, shape, split(source, synapse), neuron, scale))
        self.shape, self.flat = shape, False

    def conv(self, record: Record) -> Conv2d:
        weight = _weight(record)
        if weight.ndim not in (4, 5) or weight.shape[4:] not in ((), (1,)):
            raise record.error("weight", f"shape {weight.shape} is not (out, in, rows, columns)")
        stride, padding, dilation = (record.pair(name) for name in ("stride", "padding", "dilation"))
        return Conv2d(weight.reshape(weight.shape[:4]), stride, padding, dilation, record.integer("groups"))

    def dense(self, record: Record) -> Dense:
        weight, size = _weight(record), int(np.prod(record.integers("shape")))
        if weight.ndim == 1 and size > 0 and weight.size % size == 0:
            weight = weight.reshape(size, -1)
        if weight.ndim != 2 or weight.shape[0] != size:
            raise record.error("weight", f"shape {weight.shape} does not give {size} values")
        if self.layers and self.flat != (len(self.layers[-1].shape) == 3):
            what = "no flatten layer comes before it" if not self.flat else "a flatten layer follows a dense one"
            raise record.error("type", f"{what}; netx cannot connect it", "export the network from lava-dl again")
        if self.shape is None:
            self.shape = (weight.shape[1],)
        held = effective(weight)
        if held is None:
            what = f"netx cannot run weights of {weight.min()}..{weight.max()}"
            raise record.error("weight", what, "use even weights from -256 to 254, not all of them zero")
        return Dense(held)

    def network(self, root: Record) -> SpikingNetwork:
        if self.port is None or not self.layers:
            raise root.error("layer", "it holds no layer of neurons")
        return SpikingNetwork((self.port,), tuple(self.layers))


def _weight(record: Record) -> IntArray:
    if isinstance(record.tree.get("weight"), dict):
        raise record.error("weight", "complex weights", REFUSED["dense_comp"])
    weight = record.integers("weight")
    if np.abs(weight).max() > WEIGHT_LIMIT:
        raise record.error("weight", f"values of {weight.min()}..{weight.max()}", "use even weights from -256 to 254")
    return weight


def _output_shape(record: Record, synapse: Conv2d | Dense, shape: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return synapse.output_shape(shape)
    except (ValueError, ZeroDivisionError) as error:
        raise record.error("weight", str(error)) from error


def _shape(record: Record, name: str) -> tuple[int, ...]:
    return tuple(int(n) for n in record.integers(name).ravel())


def _scale(record: Record, name: str, default: IntArray) -> IntArray:
    value: Any = record.tree.get(name)
    if value is None:
        return default
    scale: IntArray = np.atleast_1d(np.asarray(value))
    if scale.dtype.kind != "f" or scale.ndim != 1 or not scale.size:
        raise record.error(name, "real numbers belong here")
    return scale


def _bias(record: Record, shape: tuple[int, ...]) -> IntArray:
    """The bias in shifted units, int32 [1] or [channels]."""
    if "bias" not in record:
        return np.zeros(1, np.int32)
    bias = record.integers("bias").ravel()
    if bias.size not in (1, shape[0]):
        raise record.error("bias", f"{bias.size} values for {shape[0]} channels", "use one per channel")
    if bias.min() < -BIAS_LIMIT or bias.max() >= BIAS_LIMIT:
        raise record.error("bias", f"values of {bias.min()}..{bias.max()}", f"Lava keeps 13 bits: +-{BIAS_LIMIT}")
    return np.asarray(bias << STATE_SHIFT, np.int32)


def _neuron(record: Record, shape: tuple[int, ...], bias: IntArray, memory: bool = True) -> LIF:
    kind = record.text("type")
    if kind not in ("CUBA", "LOIHI") or "messageBits" in record:
        what = f"a neuron of type {kind!r}" if kind not in ("CUBA", "LOIHI") else "a neuron with graded messages"
        raise record.error("type", f"{what} cannot be run here", "use CUBA neurons")
    _refuse_silent(record)
    keep = 2**DECAY_BITS - record.integers("vDecay").ravel()
    if keep.size not in (1, shape[0]):
        raise record.error("vDecay", f"{keep.size} values for {shape[0]} channels", "use one per channel")
    ukeep, vth = 2**DECAY_BITS - record.integer("iDecay"), record.integer("vThMant")
    readout = vth >= THRESHOLD_LIMIT
    return LIF(
        keep.astype(np.int32), np.array([0 if readout else vth], np.int32), Reset.NONE if readout else Reset.ZERO,
        readout, ukeep if memory else 0, bias,
    )  # fmt: skip


def _refuse_silent(record: Record) -> None:
    """netx does not look at these: the file would mean something else than what runs."""
    for name, harmless in SILENT.items():
        if name in record and (record.integers(name) != harmless).any():
            what = f"it is not {harmless}, and netx does not carry it out"
            raise record.error(name, what, "train without it; delays cannot be run here either")
