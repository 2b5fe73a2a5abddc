"""Trained models of lava-dl's slayer (`slayer.block.cuba`) as networks, from the live torch module.

The weights are the 8-bit ones that the model runs with and exports, read off without changing it; slayer's state
is Lava's state divided by 2^12. A block with `delay_shift` hands its output on one step late: step t of the n-th
block there is step t - n here, where spikes travel within a step.

lava-dl is not imported: the module comes from the user's process, which has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from snn_export.network import (
    DECAY_BITS,
    LIF,
    STATE_SHIFT,
    Connection,
    Conv2d,
    Dense,
    InputPort,
    IntArray,
    Layer,
    NetworkError,
    Reset,
    SpikingNetwork,
)
from snn_export.netx.reader import INPUT_BITS, LAVA_DL_SCALE
from snn_export.netx.synapses import identity, split

FAMILY = "lava.lib.dl.slayer.block.cuba"
FIX = "use Input, Conv, Flatten, Dense and Affine blocks of slayer.block.cuba"


def read(model: Any, input_shape: tuple[int, ...], *, bits: int = 1) -> SpikingNetwork:
    """The network of a slayer model.

    Args:
        model: a module whose blocks are in its `blocks`, as lava-dl's are, or the blocks themselves.
        input_shape: (C, H, W) or (N,) of what enters.
        bits: of the values that enter, as `InputPort.bits`; an Input block with neurons takes 13.

    Returns:
        The network; layers are named as `netx.read` names those of the model's own export.

    Raises:
        NetworkError: naming the block, for one that cannot be run here.
    """
    blocks = getattr(model, "blocks", model)
    if not isinstance(blocks, Iterable):
        raise NetworkError(type(model).__name__, "it has no `blocks`", "pass the blocks as a list")
    port = InputPort("input", tuple(input_shape), bits)
    layers: list[Layer] = []
    for i, block in enumerate(blocks):
        kind, here = _kind(block, i), f"blocks[{i}]"
        source, shape = (layers[-1].name, layers[-1].shape) if layers else (port.name, port.shape)
        if kind == "input":
            if i:
                raise NetworkError(here, "an Input block behind another one", "put it first")
            if block.neuron is not None:
                port, first = _input(block, port, here)
                layers.append(first)
        elif kind != "flatten":
            name = f"{'dense' if kind == 'affine' else kind}{i}"
            layers.append(layer(block, name, source, shape, here))
    return SpikingNetwork((port,), tuple(layers))


def _kind(block: Any, i: int) -> str:
    name, family = type(block).__name__, type(block).__module__
    if family != FAMILY or name not in ("Input", "Flatten", "Conv", "Dense", "Affine"):
        raise NetworkError(f"blocks[{i}]", f"a block {family}.{name} cannot be run here", FIX)
    if getattr(block, "delay", None) is not None:
        raise NetworkError(f"blocks[{i}].delay", "it delays its spikes", "train without delays")
    return name.lower()


def _input(block: Any, port: InputPort, here: str) -> tuple[InputPort, Layer]:
    """An Input block with neurons adds ``weight * x + bias`` to their potential; the port takes ``weight * x``."""
    weight, bias = (
        default if value is None else int(block.pre_hook_fx(value, descale=True).item())
        for value, default in ((block.weight, 2**STATE_SHIFT), (block.bias, 0))
    )
    if weight < 1:
        raise NetworkError(f"{here}.weight", f"{weight}: values enter multiplied by it", "use a positive weight")
    port = InputPort(port.name, port.shape, INPUT_BITS, 1 / weight)
    neuron = _neuron(block, port.shape, here, np.array([bias << STATE_SHIFT], np.int32), memory=False)
    connection = Connection(port.name, identity(port.shape))
    return port, Layer("input0", port.shape, (connection,), neuron, np.array([LAVA_DL_SCALE]))


def layer(block: Any, name: str, source: str, shape: tuple[int, ...], here: str) -> Layer:
    """The layer of one Conv, Dense or Affine block.

    Args:
        block: of slayer.block.cuba, run at least once.
        name: for the layer.
        source: what feeds it.
        shape: of that, (C, H, W) or (N,).
        here: the block's place, for errors.

    Raises:
        NetworkError: for a block that cannot be run here.
    """
    weight = _weight(block, f"{here}.synapse")
    synapse: Conv2d | Dense = Dense(weight.reshape(weight.shape[0], -1))
    if _kind(block, 0) == "conv":
        stride, padding, dilation = (
            (int(pair[0]), int(pair[1]))
            for pair in (block.synapse.stride, block.synapse.padding, block.synapse.dilation)
        )
        synapse = Conv2d(weight[..., 0], stride, padding, dilation, int(block.synapse.groups))
    try:
        out = synapse.output_shape(shape)
    except ValueError as error:
        raise NetworkError(here, str(error), "pass the shape that the model was trained with") from error
    neuron = _neuron(block, out, here, _bias(block, here))
    return Layer(name, out, split(source, synapse), neuron, np.array([LAVA_DL_SCALE]))


def _weight(block: Any, here: str) -> IntArray:
    """The integers that the block multiplies with, int64 in torch's shape of a 3-d convolution."""
    synapse = block.synapse
    if synapse.pre_hook_fx is None:
        raise NetworkError(here, "its weights are not quantised (no pre_hook_fx)", "train with 8-bit weights")
    weight = synapse.weight
    for hook in synapse._forward_pre_hooks.values():
        # weight norm: the attribute is that of the last forward pass, not of the trained parameters
        weight = hook.compute_weight(synapse) if hasattr(hook, "compute_weight") else weight
    if getattr(block, "mask", None) is not None:
        weight = weight * block.mask
    values = synapse.pre_hook_fx(weight, descale=True).detach().cpu().numpy()
    if not np.isfinite(values).all() or (values != np.rint(values)).any():
        raise NetworkError(here, "its quantised weights are not whole numbers", "train with 8-bit weights")
    return np.asarray(values, np.int64)


def _bias(block: Any, here: str) -> IntArray:
    norm = block.neuron.norm
    if norm is None:
        return np.zeros(1, np.int32)
    if type(norm).__name__ != "MeanOnlyBatchNorm":
        raise NetworkError(f"{here}.neuron.norm", f"{type(norm).__name__} scales currents", "use MeanOnlyBatchNorm")
    bias = norm.bias.detach().cpu().numpy().ravel()
    return np.asarray(np.rint(bias), np.int32) << STATE_SHIFT


def _neuron(block: Any, shape: tuple[int, ...], here: str, bias: IntArray, memory: bool = True) -> LIF:
    neuron = block.neuron
    if neuron.graded_spike or neuron.persistent_state:
        what = "its spikes are graded" if neuron.graded_spike else "its state outlives the sequence"
        raise NetworkError(f"{here}.neuron", what, "train with plain spikes from zero state")
    readout = type(block).__name__ == "Affine"
    if readout and not block.dynamics:
        # the block gives its weighted sums: a population that forgets at once
        return LIF(np.zeros(1, np.int32), np.zeros(1, np.int32), Reset.NONE, True)
    current, voltage = (np.atleast_1d(x) for x in (neuron.cx_current_decay, neuron.cx_voltage_decay))
    if np.unique(current).size > 1:
        raise NetworkError(f"{here}.neuron", "its current decay differs between channels", "train with shared_param")
    if voltage.size not in (1, shape[0]):
        raise NetworkError(f"{here}.neuron", "its decays are not drawn yet", "run the model once")
    vth = 0 if readout else int(neuron.v_th_mant)
    return LIF(
        (2**DECAY_BITS - voltage).astype(np.int32), np.array([vth], np.int32), Reset.NONE if readout else Reset.ZERO,
        readout, 2**DECAY_BITS - int(current[0]) if memory else 0, bias,
    )  # fmt: skip
