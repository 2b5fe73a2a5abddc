"""The op graph of a hybrid model: what it computes, in which shapes, at what cost."""

from hybrid.graph.trace import ModelGraph, Op, trace, trace_network

__all__ = ["ModelGraph", "Op", "trace", "trace_network"]
