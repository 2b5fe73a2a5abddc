"""The spiking part of a bundle in the formats of other tools."""

from __future__ import annotations

import re
from collections.abc import Mapping

from snn_export import netx, nir
from snn_export.network import SpikingNetwork

NIR = "spiking.nir"
NETX = re.compile(r"netx(-\w+)?\.net")
"""Names of the netx files: one, or one per stream with the name of its input."""


def export(network: SpikingNetwork) -> tuple[dict[str, bytes], Mapping[str, str]]:
    """Write what can be written; equal networks give equal bytes.

    Returns:
        The contents by file name, and by file name what it does not say, or why it was not written.

    Raises:
        snn_export.network.NetworkError: for a network that NIR cannot hold.
    """
    contents = {NIR: nir.dumps(network)}
    notes = {NIR: "; ".join(nir.unsaid(network))}
    streams = netx.streams(network)
    for name, stream in streams.items():
        file = "netx.net" if len(streams) == 1 else f"netx-{re.sub(r'[^0-9A-Za-z_]', '_', name)}.net"
        reasons = netx.check(stream)
        notes[file] = "; ".join(f"not written: {reason.where}: {reason.what}" for reason in reasons)
        if not reasons:
            contents[file] = netx.dumps(stream)
    return contents, notes
