"""A SpikingNetwork as a netx file; equal networks give equal bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from snn_export.hdf5 import library, write_aside
from snn_export.network import (
    DECAY_BITS,
    STATE_SHIFT,
    THRESHOLD_LIMIT,
    Conv2d,
    InputPort,
    Layer,
    SpikingNetwork,
)
from snn_export.netx.limits import check
from snn_export.netx.synapses import is_identity, merged

Values = dict[str, Any]


def write(network: SpikingNetwork, path: Path) -> None:
    """Write `network` to `path`, aside and renamed.

    Raises:
        NetworkError: the first thing that a netx file cannot say; `check` gives all of them.
        MissingLibraryError: without h5py.
    """
    write_aside(path, dumps(network))


def dumps(network: SpikingNetwork) -> bytes:
    """The bytes of the file, for a network that `check` accepts; errors as `write`."""
    if reasons := check(network):
        raise reasons[0]
    h5py = library("h5py", "h5py", "the netx file")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", track_order=True) as file:
        layers = file.create_group("layer", track_order=True)
        for i, record in enumerate(_records(network)):
            _fill(layers.create_group(str(i), track_order=True), record)
    return buffer.getvalue()


def _fill(group: Any, record: Values) -> None:
    for name, value in record.items():
        if isinstance(value, dict):
            _fill(group.create_group(name, track_order=True), value)
        else:
            group.create_dataset(name, data=value, track_times=False)


def _records(network: SpikingNetwork) -> list[Values]:
    """The layers of the file. What is not lava-dl's own (name, bits, scale) netx does not look at."""
    port, layers = network.inputs[0], list(network.layers)
    records = [_word("input") | {"shape": np.array(port.shape), "name": np.bytes_(port.name.encode())}]
    records[0] |= {"bits": port.bits, "scale": port.scale}
    if is_input_layer(port, layers[0]):
        first = layers.pop(0)
        records[0] |= {"weight": round(1 / port.scale), "bias": int(first.neuron.bias[0]) >> STATE_SHIFT}
        records[0] |= _neuron(first) | {"layer_name": np.bytes_(first.name.encode()), "layer_scale": first.scale}
    for layer in layers:
        synapse, shape = merged(network, layer), network.shapes[layer.connections[0].source]
        if isinstance(synapse, Conv2d):
            record = _word("conv") | _conv(synapse)
        else:
            if len(shape) == 3:
                records.append(_word("flatten") | {"shape": np.array([int(np.prod(shape)), 1, 1])})
            features = {"outFeatures": layer.size, "inFeatures": int(np.prod(shape))}
            record = _word("dense") | features | {"weight": synapse.weight}
        record |= {"shape": np.array(layer.shape), "name": np.bytes_(layer.name.encode()), "scale": layer.scale}
        records.append(record | _bias(layer) | _neuron(layer))
    return records


def is_input_layer(port: InputPort, layer: Layer) -> bool:
    """Whether the first layer does what the neuron of an `input` layer does: add the values to its potential."""
    neuron = layer.neuron
    return (
        port.graded
        and len(layer.connections) == 1
        and is_identity(layer.connections[0].synapse, port.shape)
        and neuron.ukeep == 0
        and not neuron.readout
        and np.unique(neuron.bias).size == 1
        and 1 / port.scale == round(1 / port.scale)
    )


def _word(kind: str) -> Values:
    return {"type": np.array([kind.encode()], "S10")}


def _conv(synapse: Conv2d) -> Values:
    return {
        "inChannels": synapse.weight.shape[1] * synapse.groups, "outChannels": synapse.weight.shape[0],
        "kernelSize": np.array(synapse.weight.shape[2:]), "stride": np.array(synapse.stride),
        "padding": np.array(synapse.padding), "dilation": np.array(synapse.dilation), "groups": synapse.groups,
        "weight": synapse.weight,
    }  # fmt: skip


def _bias(layer: Layer) -> Values:
    bias = layer.neuron.bias >> STATE_SHIFT
    return {"bias": np.broadcast_to(bias, layer.shape[:1]).astype(np.int32)} if bias.any() else {}


def _neuron(layer: Layer) -> Values:
    neuron = layer.neuron
    decay = (2**DECAY_BITS - neuron.keep).astype(np.int64)
    return {
        "neuron": {
            "type": np.bytes_(b"CUBA"), "iDecay": 2**DECAY_BITS - int(neuron.ukeep),
            "vDecay": int(decay[0]) if np.unique(decay).size == 1 else decay,
            # a threshold above every potential: a read-out never fires
            "vThMant": THRESHOLD_LIMIT if neuron.readout else int(neuron.vth[0]),
            "refDelay": 1, "gradedSpike": False,
        }
    }  # fmt: skip
