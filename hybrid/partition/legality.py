"""What a chip can run: one small rule each; its docstring is the limit that the user reads."""

from __future__ import annotations

from hybrid.graph import ModelGraph, Op


def only_spiking_layers(op: Op, graph: ModelGraph) -> str | None:
    """The chip runs leaky integrate-and-fire neurons with the synapses in front of them, nothing else."""
    if op.spiking:
        return None
    return graph.refused.get(op.name) or f"{op.kind} is no spiking layer"


def neurons_of_the_contract(op: Op, graph: ModelGraph) -> str | None:
    """The law of the neurons is, exactly, a leak, a current memory, a strict threshold, and a reset to 0, by the
    threshold, or none; potentials are read from neurons that never spike."""
    return _refusal(op, graph, "neuron")


def one_synapse(op: Op, graph: ModelGraph) -> str | None:
    """Between two populations stands what multiplies out into one convolution or one matrix."""
    return _refusal(op, graph, "synapses")


def fed_by_inputs_or_spikes(op: Op, graph: ModelGraph) -> str | None:
    """A spiking layer takes an input of the model, what the host computes from the inputs alone, or the spikes of
    layers that the chip can run. (Of our video model: a stream of the video, or such spikes.)"""
    for producer in (graph.ops[source] for source, consumer in graph.edges if consumer == op.name):
        if producer.kind == "input" or producer.feeds:
            continue
        if producer.spiking and not producer.emits_spikes:
            return f"its input is the potential of {producer.name}"
        if not producer.spiking or violations(producer, graph):
            return f"its input comes from {producer.name}, which the host computes"
    return None


RULES = (only_spiking_layers, neurons_of_the_contract, one_synapse, fed_by_inputs_or_spikes)


def violations(op: Op, graph: ModelGraph) -> tuple[str, ...]:
    """What makes `op` illegal on the chip, in words, by the rules that it breaks; empty where it can run there."""
    if not op.spiking:
        return (str(only_spiking_layers(op, graph)),)
    return tuple(fact for rule in RULES if (fact := rule(op, graph)) is not None)


def _refusal(op: Op, graph: ModelGraph, aspect: str) -> str | None:
    population = graph.populations.get(op.name)
    return None if population is None else population.refusals.get(aspect)
