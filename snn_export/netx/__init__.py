"""lava-dl's netx format: an HDF5 description of a chain of CUBA-LIF layers, out and in.

What netx makes of a file, found by running lava-dl 0.6.0 and followed here bit by bit:

- weights and biases are cut to integers; convolutions take them as they are, a dense matrix goes through the
  clipping and truncation of Loihi's synapse (`dense.effective`);
- ``ukeep = 4096 - iDecay``, ``keep = 4096 - vDecay`` (one number, or one per channel), ``vth = vThMant``, and a
  bias is shifted left by 6;
- a dense layer without neuron is an integrator that forgets its potential and keeps its current for ever;
- a threshold of 2^17 or more lies above every potential: the layer is a read-out;
- an `input` layer with a neuron adds ``weight * x + bias`` to its potential; its port takes ``weight * x``;
- layer l reacts one step later than layer l - 1. Networks here have no such delay: `snn_export.lava` runs a file
  and puts every step where it belongs.

netx wraps a synaptic current that passes 2^23; the contract does not, and clips the potential. Only a layer with
current memory can come there.
"""

from snn_export.netx.limits import check
from snn_export.netx.reader import from_tree, read
from snn_export.netx.streams import streams
from snn_export.netx.writer import dumps, write

__all__ = ["check", "dumps", "from_tree", "read", "streams", "write"]
