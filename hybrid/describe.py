"""What a bundle holds, as plain data: layers, quantisation, mapping, sizes, evidence."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.mapping import utilization
from hybrid.bundle import Bundle
from hybrid.user.model import UserModel
from snn_export.network import Layer, SumPool2d

WEIGHT_BITS = 8


def describe(bundle: Bundle) -> dict[str, Any]:
    """The manifest, and what the other files say beyond it.

    Returns:
        The manifest's keys, and `layers`, `ports`, `mapping`, `quantisation` and `bytes`.
    """
    manifest, mapping = bundle.manifest, bundle.mapping
    cores = {layer.name: sum(core.layer == layer.name for core in mapping.cores) for layer in bundle.network.layers}
    rows = {name: {"used": used, "of": bound} for name, (used, bound) in utilization(mapping).items()}
    return {
        **manifest.model_dump(mode="json"),
        "layers": [_layer(layer) | {"cores": cores[layer.name]} for layer in bundle.network.layers],
        "ports": [{"name": p.name, "shape": list(p.shape), "bits": p.bits, "scale": p.scale}
                  for p in bundle.network.inputs],
        "mapping": {"cores": len(mapping.cores), "chips": mapping.chips, "utilisation": rows},
        "quantisation": _quantisation(bundle),
        "bytes": sum(file.bytes for file in manifest.files.values()),
    }  # fmt: skip


def _layer(layer: Layer) -> dict[str, Any]:
    weights = [c.synapse.weight.ravel() for c in layer.connections if not isinstance(c.synapse, SumPool2d)]
    every = np.concatenate(weights) if weights else np.zeros(0, np.int8)
    neuron = layer.neuron
    return {
        "name": layer.name, "shape": list(layer.shape), "neurons": layer.size,
        "weights": every.size, "weights_not_zero": int(np.count_nonzero(every)),
        "weight_largest": int(np.abs(every.astype(np.int64)).max(initial=0)),
        "scale": _ends(layer.scale), "keep": _ends(neuron.keep), "vth": _ends(neuron.vth),
        "readout": neuron.readout,
    }  # fmt: skip


def _quantisation(bundle: Bundle) -> dict[str, Any]:
    """Bits, and what was noted of the error when the model was compiled."""
    model, source = bundle.manifest.model, bundle.manifest.source
    found: dict[str, Any] = {"weight_bits": WEIGHT_BITS}
    if "quantisation" in source:
        found["notes"] = source["quantisation"]
    if isinstance(model, UserModel):
        found["float_network_flipped"] = model.flipped
    return found


def _ends(values: np.ndarray) -> list[float]:  # type: ignore[type-arg]
    """One number, or the smallest and largest of several."""
    low, high = values.min().item(), values.max().item()
    return [low] if low == high else [low, high]
