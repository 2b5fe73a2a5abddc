"""What a chip can run: one small rule each; its docstring is the limit that the user reads."""

from __future__ import annotations

from hybrid.graph import ModelGraph, Op


def only_spiking_layers(op: Op, graph: ModelGraph) -> str | None:
    """The chip runs convolutions into leaky integrate-and-fire neurons, nothing else."""
    return None if op.spiking else f"{op.kind} is no spiking layer"


def fed_by_the_video(op: Op, graph: ModelGraph) -> str | None:
    """A spiking layer takes a stream of the video, or the spikes of layers that the chip can run."""
    for producer in (graph.ops[source] for source, consumer in graph.edges if consumer == op.name):
        if producer.kind != "input" and (not producer.spiking or fed_by_the_video(producer, graph)):
            return f"its input comes from {producer.name}, which the host computes"
    return None


RULES = (only_spiking_layers, fed_by_the_video)


def violations(op: Op, graph: ModelGraph) -> tuple[str, ...]:
    """What makes `op` illegal on the chip, in words, by the first rule that it breaks; empty where it can run there."""
    if not op.spiking:
        return (str(only_spiking_layers(op, graph)),)
    return tuple(fact for rule in RULES if (fact := rule(op, graph)) is not None)
