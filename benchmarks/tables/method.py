"""What the tables know of a method: its networks, its protocol, and what else the paper may have counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.tables.count import Part, count

MAC_J, AC_J = 4.6e-12, 0.9e-12
"""fp32 in 45 nm (Horowitz, ISSCC 2014), the `horowitz45` host and the paper's accounting."""
SCRIPT = "PKD's counting script"
"""`TEAM_NET_Backbone/MACs/main.py` of the repository Efstathia-Soufleri/PKD, two of whose authors are the paper's."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """How often what is run for one video.

    Attributes:
        text: in words.
        views: per video.
        runs: how often each part runs per view, by its name.
        all_seen: whether what counters that hook modules overlook counts too (`count.Overlooked`).
        factor: what the operations are multiplied by, where a figure is not the product of the others.
        stated_gmac: per view, taken from the method's authors in place of our count.
        evidence: where it is written down; empty where only the arithmetic speaks for it.
    """

    text: str
    views: int
    runs: Mapping[str, int]
    all_seen: bool = True
    factor: float = 1.0
    stated_gmac: float | None = None
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Method:
    """A row.

    Attributes:
        name: as the paper writes it.
        source: of the architecture.
        parts: its networks.
        protocol: views as the paper's column has them, or as its authors state where there is no column.
        others: what else the paper may have counted, the likeliest first.
        weights: the parts whose parameters count, where one network stands in several parts; all without it.
        filled_in: what is not published and was filled in; empty where the architecture is published in full.
        extra_parameters: of weights that no view runs.
        stated_gmac: of one view, as the method's authors state it.
        rgb_frames: that the views of a video sample, each once; 0 where the network takes compressed streams.
        gops: that a method of compressed streams reads of a video.
    """

    name: str
    source: str
    parts: tuple[Part, ...]
    protocol: Protocol
    others: tuple[Protocol, ...] = ()
    weights: tuple[str, ...] = ()
    filled_in: str = ""
    extra_parameters: int = 0
    stated_gmac: float | None = None
    rgb_frames: int = 0
    gops: int = 8

    def parameters(self) -> int:
        """Of all networks of the method."""
        named = [part for part in self.parts if not self.weights or part.name in self.weights]
        return sum(count(part).parameters for part in named) + self.extra_parameters

    def macs_per_view(self, protocol: Protocol) -> float:
        """Multiply-accumulates outside spiking layers."""
        if protocol.stated_gmac is not None:
            return protocol.stated_gmac * 1e9 * protocol.factor
        total = 0
        for part in self.parts:
            found = count(part)
            each = found.macs if protocol.all_seen else found.macs - found.overlooked
            total += each * protocol.runs.get(part.name, 0)
        return total * protocol.factor

    def macs_per_video(self, protocol: Protocol) -> float:
        """Over all views."""
        return self.macs_per_view(protocol) * protocol.views

    def joules(self, protocol: Protocol, acs: float = 0.0) -> float:
        """Per video, under `horowitz45`."""
        return self.macs_per_video(protocol) * MAC_J + acs * AC_J
