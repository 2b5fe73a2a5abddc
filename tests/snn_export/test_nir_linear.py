"""Chains of linear NIR nodes against torch: pooling, convolutions, scaling and matrices multiplied out."""

from __future__ import annotations

import itertools

import nir as library
import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from snn_export import nir, reference
from snn_export.network import NetworkError


def _graph(*members):
    """A chain of nodes by name."""
    nodes = dict(members)
    return library.NIRGraph(nodes, list(itertools.pairwise(nodes)), type_check=False)


@st.composite
def _linear_chains(draw):
    """Nodes between an input and an integrator, and the same in torch."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    channels, size = draw(st.integers(1, 3)), (draw(st.integers(4, 9)), draw(st.integers(4, 9)))
    nodes, steps, full, flat = [], [], False, False
    shape = (channels, *size)
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["sum", "avg", "conv", "scale", "flatten", "linear"]))
        if kind in ("sum", "avg") and not flat and min(shape[1:]) >= 2:
            kernel, stride = draw(st.integers(1, 2)), draw(st.integers(1, 3))
            op = library.SumPool2d if kind == "sum" else library.AvgPool2d
            nodes.append(op(*(np.array([n, n]) for n in (kernel, stride, 0))))
            factor = kernel**2 if kind == "sum" else 1
            steps.append(lambda x, k=kernel, s=stride, f=factor: functional.avg_pool2d(x, k, s) * f)
        elif kind == "conv" and not flat and not full:
            full, groups = True, draw(st.sampled_from([1, shape[0]]))
            weight = rng.normal(size=(groups * 2, shape[0] // groups, *rng.integers(1, 4, 2)))
            stride, dilation, padding = draw(st.sampled_from([1, 2])), draw(st.integers(1, 2)), draw(st.integers(0, 1))
            if draw(st.booleans()):
                stride, padding = 1, "same"
            bias = rng.normal(size=groups * 2)
            nodes.append(library.Conv2d(None, weight, stride, padding, dilation, groups, bias))
            steps.append(
                lambda x, w=weight, b=bias, o=(stride, padding, dilation, groups): functional.conv2d(
                    x, torch.tensor(w), torch.tensor(b), *o
                )
            )
        elif kind == "scale":
            values = np.broadcast_to(rng.normal(size=(shape[0], *(1 for _ in shape[1:]))), shape)
            nodes.append(library.Scale(values))
            steps.append(lambda x, v=values: x * torch.tensor(v.copy()))
        elif kind == "flatten" and not flat:
            flat = True
            nodes.append(library.Flatten({"input": np.array(shape)}, 0, -1))
            steps.append(lambda x: x.flatten(1))
        elif kind == "linear" and flat and not full:
            full = True
            weight, bias = rng.normal(size=(3, shape[0])), rng.normal(size=3)
            nodes.append(library.Affine(weight, bias))
            steps.append(lambda x, w=weight, b=bias: functional.linear(x, torch.tensor(w), torch.tensor(b)))
        try:
            shape = tuple(_apply(steps, torch.zeros(1, channels, *size, dtype=torch.float64)).shape[1:])
        except RuntimeError:
            nodes.pop(), steps.pop()
    return nodes, steps, (channels, *size), rng


def _apply(steps, x):
    for step in steps:
        x = step(x)
    return x


def _network_or_reason(graph):
    try:
        return nir.from_graph(graph)
    except NetworkError as error:
        return error.what


@given(_linear_chains())
@settings(max_examples=150)
def test_linear_nodes_between_two_populations_become_one_synapse_that_equals_torch(chain):
    nodes, steps, shape, rng = chain
    names = [f"n{i}" for i in range(len(nodes))]
    graph = _graph(
        ("in", library.Input({"input": np.array(shape)})), *zip(names, nodes, strict=True),
        ("t", library.Threshold(np.array(1e9))), ("out", library.Output({"output": np.array([1])})),
    )  # fmt: skip
    values = rng.normal(size=(1, 2, *shape))
    network = _network_or_reason(graph)
    if isinstance(network, str):
        reasons = ("pads values that carry a bias", "padding follows pooling", "scale differs within a channel")
        assert any(reason in network for reason in reasons), network
        return
    found = reference.run(network, {"in": values}).potentials["t"][0]
    expected = _apply(steps, torch.tensor(values[0])).numpy()
    assert np.allclose(found.reshape(expected.shape), expected, atol=1e-9)
