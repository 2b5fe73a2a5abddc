"""A SpikingNetwork as a NIR graph whose physical parameters are right for other tools.

With one step dt, ``v' = k v + a + bias`` is forward Euler of ``tau dv/dt = (v_leak - v) + R I`` for
``tau = dt / (1 - k)`` and ``R = tau / dt``. A neuron that forgets nothing has an endless tau: it becomes an IF, or,
where it needs a current memory or keeps everything in some channels only, a tau of 2^40 steps, which no float32
can tell from endless. Weights are in real units: the integer times the layer's unit over that of its source.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from snn_export.hdf5 import library
from snn_export.network import (
    DECAY_BITS,
    STATE_SHIFT,
    Conv2d,
    IntArray,
    Layer,
    NetworkError,
    Reset,
    Sparse,
    SpikingNetwork,
    SumPool2d,
    Synapse,
)

ENDLESS = 2.0**40
"""Steps of a time constant that stands for no leak."""
MATRIX_LIMIT = 2**26
"""Weights of a sparse matrix that is written out with its zeros, since NIR knows no sparse one."""

Nodes = dict[str, Any]
Edges = list[tuple[str, str]]


def to_nodes(network: SpikingNetwork, dt: float) -> tuple[Nodes, Edges]:
    """The nodes and edges of the graph.

    Raises:
        NetworkError: for a sparse connection that is too large to write out, or a step that is not positive.
        MissingLibraryError: without nir.
    """
    if not (np.isfinite(dt) and dt > 0):
        raise NetworkError("dt", f"a step of {dt}", "give a positive number of seconds")
    nir = library("nir", "nir", "the NIR file")
    names = _names(network)
    nodes: Nodes = {names[port.name]: nir.Input({"input": np.array(port.shape)}) for port in network.inputs}
    edges: Edges = []
    units = {port.name: port.scale if network.fixed else 1.0 for port in network.inputs}
    for layer in network.layers:
        unit = layer.scale if network.fixed else np.ones(1)
        bias, none = _real_bias(network, layer), np.zeros(1)
        inside = _inside(layer)
        for i, connection in enumerate(layer.connections):
            here, shape = f"{names[layer.name]}.{i}", network.shapes[connection.source]
            ratio = unit / units.get(connection.source, 1.0)
            own = none if i or inside else bias
            parts = list(_synapse(nir, connection.synapse, shape, layer, ratio, own))
            stations = [names[connection.source], *(f"{here}.{kind}" for kind, _ in parts), names[layer.name]]
            nodes |= {name: node for name, (_, node) in zip(stations[1:], parts, strict=False)}
            edges += pairwise(stations)
        nodes[names[layer.name]] = _neuron(nir, network, layer, unit, bias if inside else none, dt)
    heard = {connection.source for layer in network.layers for connection in layer.connections}
    for layer in network.layers:
        if layer.name not in heard:
            nodes[f"{names[layer.name]}.output"] = nir.Output({"output": np.array(layer.shape)})
            edges.append((names[layer.name], f"{names[layer.name]}.output"))
    return nodes, edges


def unsaid(network: SpikingNetwork) -> list[str]:
    """What the physical part of the file cannot say about this network, one sentence each."""
    lines = []
    for layer in network.layers:
        if not layer.neuron.readout and layer.neuron.reset is not Reset.ZERO:
            lines.append(f"layer {layer.name!r}: reset {layer.neuron.reset.value!r}; NIR sets v to v_reset")
        if layer.neuron.reset_interval:
            lines.append(f"layer {layer.name!r}: its state returns to 0 every {layer.neuron.reset_interval} steps")
        for connection in layer.connections:
            synapse = connection.synapse
            if isinstance(synapse, Conv2d) and (synapse.groups > 1 or len(set(synapse.weight.shape[2:])) > 1):
                what = "groups or a kernel that is not square, which nir.read accepts with type_check=False only"
                lines.append(f"layer {layer.name!r}: {what}")
    return lines


def _names(network: SpikingNetwork) -> dict[str, str]:
    """A node's name for each port and layer: a slash would open a group in HDF5, a dot is for the parts of a layer."""
    names: dict[str, str] = {}
    for name in network.shapes:
        plain = name.replace("/", "_").replace(".", "_")
        while plain in names.values():
            plain += "_"
        names[name] = plain
    return names


def _inside(layer: Layer) -> bool:
    """Whether the bias is the neuron's v_leak: its current memory would keep it, or pooling cannot carry it."""
    return bool(layer.neuron.ukeep) or isinstance(layer.connections[0].synapse, SumPool2d)


def _real_bias(network: SpikingNetwork, layer: Layer) -> IntArray:
    bias = layer.neuron.bias.astype(np.float64)
    return bias * layer.scale / 2**STATE_SHIFT if network.fixed else bias


def _synapse(
    nir: Any, synapse: Synapse, shape: tuple[int, ...], layer: Layer, ratio: IntArray, bias: IntArray
) -> Iterator[tuple[str, Any]]:
    """The nodes of one connection, in order, with a word for each."""
    full_bias = np.broadcast_to(bias, layer.shape[:1]).astype(np.float32)
    if isinstance(synapse, SumPool2d):
        fields = (synapse.kernel, synapse.stride, synapse.padding)
        yield "pool", nir.SumPool2d(*(np.array(pair) for pair in fields))
        yield "scale", nir.Scale(_full(ratio, layer.shape))
        return
    if isinstance(synapse, Conv2d):
        weight = (synapse.weight * ratio.reshape(-1, 1, 1, 1)).astype(np.float32)
        geometry = (synapse.stride, synapse.padding, synapse.dilation, synapse.groups)
        yield "conv", nir.Conv2d(shape[1:], weight, *geometry, full_bias)
        return
    if len(shape) == 3:
        yield "flatten", nir.Flatten({"input": np.array(shape)}, 0, -1)
    matrix = (_matrix(synapse, layer) * ratio.reshape(-1, 1)).astype(np.float32)
    yield "weight", nir.Affine(matrix, full_bias) if bias.any() else nir.Linear(matrix)


def _matrix(synapse: Any, layer: Layer) -> IntArray:
    if not isinstance(synapse, Sparse):
        return np.asarray(synapse.weight)
    if synapse.size[0] * synapse.size[1] > MATRIX_LIMIT:
        where, what = f"$.layers[{layer.name}].connections", f"a sparse matrix of {synapse.size}"
        raise NetworkError(where, f"{what} is too large to write out with its zeros", "use snn_export.files")
    matrix = np.zeros(synapse.size, synapse.weight.dtype)
    matrix[synapse.rows, synapse.columns] = synapse.weight
    return matrix


def _neuron(nir: Any, network: SpikingNetwork, layer: Layer, unit: IntArray, bias: IntArray, dt: float) -> Any:
    neuron, one = layer.neuron, 2**DECAY_BITS if network.fixed else 1
    vth = _full(neuron.vth * unit, layer.shape)
    notes = {"dt": dt, "reset": neuron.reset.value, "readout": int(neuron.readout)}
    if (neuron.keep == one).all() and not neuron.ukeep and not bias.any():
        r = _full(np.array([1 / dt]), layer.shape)
        return nir.I(r, metadata=notes) if neuron.readout else nir.IF(r, vth, metadata=notes)
    steps = _steps(neuron.keep / one)
    tau, r = _full(steps * dt, layer.shape), _full(steps, layer.shape)
    if not neuron.ukeep:
        leak = _full(steps * bias, layer.shape)
        if neuron.readout:
            return nir.LI(tau, r, leak, metadata=notes)
        return nir.LIF(tau, r, leak, vth, metadata=notes)
    memory = _steps(np.array([neuron.ukeep / one]))
    fields = {
        "tau_syn": _full(memory * dt, layer.shape), "tau_mem": tau, "r": r,
        "v_leak": _full(steps * bias, layer.shape), "w_in": _full(memory, layer.shape), "metadata": notes,
    }  # fmt: skip
    return nir.CubaLI(**fields) if neuron.readout else nir.CubaLIF(v_threshold=vth, **fields)


def _steps(share: IntArray) -> IntArray:
    """The time constant in steps of what keeps this share per step."""
    return np.asarray(1 / np.maximum(1 - share, 1 / ENDLESS))


def _full(value: IntArray, shape: tuple[int, ...]) -> IntArray:
    """One number per neuron, float32."""
    return np.broadcast_to(value.reshape(-1, *(1 for _ in shape[1:])), shape).astype(np.float32)
