"""A NIR graph as a float SpikingNetwork."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from snn_export.hdf5 import Tree
from snn_export.network import (
    LIF,
    Arithmetic,
    Connection,
    InputPort,
    IntArray,
    Layer,
    NetworkError,
    Reset,
    SpikingNetwork,
)
from snn_export.nir.graph import NEURONS, Node, nodes
from snn_export.nir.linear import Chain, extend
from snn_export.nir.neurons import neuron

DEFAULT_DT = 1e-4
"""The step of snnTorch's exports and of the NIR paper, in seconds."""
TIME_CONSTANTS = ("tau", "tau_mem", "tau_syn")


def network(tree: Tree, where: str, dt: float | None, reset: Reset, bits: int) -> SpikingNetwork:
    """The network of a graph, as `nir.NIRGraph.to_dict` and a file have it.

    Args:
        tree: the graph.
        where: the file, for errors.
        dt: the step; None for `default_dt`.
        reset: what a spike does.
        bits: of the values that enter, as `InputPort.bits`.

    Raises:
        NetworkError: naming the node, for what cannot run here.
    """
    members = nodes(tree, where)
    builder = _Builder(default_dt(members, where) if dt is None else dt, reset, bits)
    for node in members:
        builder.add(node)
    return SpikingNetwork(tuple(builder.ports), tuple(builder.layers), Arithmetic.FLOAT)


def default_dt(members: Sequence[Node], where: str) -> float:
    """1e-4 where the graph has time constants in seconds, 1 where it has none: a step is the unit of time then.

    Raises:
        NetworkError: for time constants of 1 and more, which may be seconds or, as in sinabs, steps.
    """
    taus = [node.numbers(name) for node in members for name in TIME_CONSTANTS if name in node.fields]
    if not taus:
        return 1.0
    longest = max(float(tau.max()) for tau in taus)
    if longest >= 1:
        what = f"a time constant of {longest:g} may be seconds or steps"
        raise NetworkError(where, what, "pass dt=1 where it counts steps, as in sinabs, or dt in seconds")
    return DEFAULT_DT


@dataclass(slots=True, eq=False)
class _Builder:
    """The network as far as its nodes are read, sources first."""

    dt: float
    reset: Reset
    bits: int
    ports: list[InputPort] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    chains: dict[str, list[Chain]] = field(default_factory=dict)
    """What leaves each node."""

    def add(self, node: Node) -> None:
        if node.op == "Input":
            port = InputPort(node.name, node.shape("shape"), self.bits)
            self.ports.append(port)
            self.chains[node.name] = [Chain(node.name, port.shape, port.shape)]
            return
        arriving = [chain for source in node.sources for chain in self.chains[source]]
        if not arriving:
            raise node.error("nothing reaches it", "connect it to an Input, or remove it")
        if len({chain.shape for chain in arriving}) > 1:
            raise node.error(f"shapes {[chain.shape for chain in arriving]} meet in it", "export the network again")
        if node.op in NEURONS:
            shape = arriving[0].shape
            made = neuron(node, shape, self.dt, self.reset)
            self.population(node, arriving, made.lif, made.gain)
            self.chains[node.name] = [Chain(node.name, shape, shape, flat=arriving[0].flat)]
        elif node.op == "Output":
            self.output(node, arriving)
        else:
            self.chains[node.name] = [extend(chain, node, i == 0) for i, chain in enumerate(arriving)]

    def population(self, node: Node, arriving: Sequence[Chain], lif: LIF, gain: IntArray) -> None:
        bias = sum((chain.bias for chain in arriving), np.zeros(1)) * gain
        if bias.any() and lif.ukeep:
            what = "a bias arrives at it; through its current memory that is no constant"
            raise node.error(what, "move the bias to v_leak, or train without it")
        connections = tuple(Connection(chain.source, chain.finish(gain)) for chain in arriving)
        lif = replace(lif, bias=lif.bias + bias)
        self.layers.append(Layer(node.name, arriving[0].shape, connections, lif))

    def output(self, node: Node, arriving: Sequence[Chain]) -> None:
        """Values that no neuron has turned into spikes are read from a population that forgets at once."""
        named = {layer.name for layer in self.layers}
        if all(_bare(chain) and chain.source in named for chain in arriving):
            return
        zero = np.zeros(1)
        self.population(node, arriving, LIF(zero, zero, Reset.NONE, True), np.ones(1))


def _bare(chain: Chain) -> bool:
    return chain.synapse is None and (chain.gain == 1).all() and not chain.bias.any()
