"""Fixtures of the simulator's tests: small chips, random mappings, one hand-made network."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import strategies as st

from hwsim.chip import load
from hwsim.mapping import Core, Mapping, Resources
from snn_export.network import (
    LIF,
    Connection,
    Conv2d,
    Dense,
    InputPort,
    Layer,
    Reset,
    Sparse,
    SpikingNetwork,
    SumPool2d,
)


@pytest.fixture(scope="session")
def small_chip():
    """A chip profile with a small mesh and chosen limits per core."""

    def make(name="loihi1", mesh=(3, 2, 2), **limits):
        chip = load(name)
        x, y, cores = mesh
        return chip.model_copy(
            update={
                "mesh": chip.mesh.model_copy(update={"tiles_x": x, "tiles_y": y, "cores_per_tile": cores}),
                "core": chip.core.model_copy(update=limits),
            }
        )

    return make


def _cut(draw, size):
    places = draw(st.lists(st.integers(1, max(1, size - 1)), max_size=2)) if size > 1 else []
    edges = sorted({0, size, *places})
    return list(pairwise(edges))


@st.composite
def _mappings(draw, network, tiles=(3, 2)):
    """A valid mapping with random cuts, not on one grid, and cores strewn over two chips."""
    blocks = []
    for layer in network.layers:
        channels, height, width = (*layer.shape, 1, 1)[:3]
        for c in _cut(draw, channels):
            for r in _cut(draw, height):
                blocks += [(layer, c, r, w) for w in _cut(draw, width)]
    cores = []
    for i, (layer, *spans) in enumerate(blocks):
        place = [draw(st.integers(0, n - 1)) for n in (2, *tiles)]
        cores.append(Core(i, layer.name, *spans, *place, i, Resources(1, 1, 1, 1)))
    limits = Resources(10**6, None, None, None)
    return Mapping("random", *tiles, len(cores), 2, limits, draw(st.booleans()), tuple(cores))


@pytest.fixture(scope="session")
def mappings():
    """A strategy of random mappings of a network."""
    return _mappings


@pytest.fixture
def line():
    """Four inputs, a 1x1 convolution of weight 1 onto four neurons, a dense layer of two read-outs.

    A neuron of the first layer fires exactly in the steps in which its input is 1.
    """
    fire = LIF(np.array([0], np.int32), np.array([0], np.int32), Reset.ZERO)
    out = LIF(np.array([4096], np.int32), np.array([0], np.int32), Reset.NONE, readout=True)
    dense = Dense(np.array([[1, 0, 2, 3], [4, 5, 6, 0]], np.int8))
    return SpikingNetwork(
        (InputPort("in", (1, 2, 2), 1),),
        (
            Layer("conv", (1, 2, 2), (Connection("in", Conv2d(np.ones((1, 1, 1, 1), np.int8))),), fire),
            Layer("out", (2,), (Connection("conv", dense),), out),
        ),
    )


@pytest.fixture
def three_kinds():
    """As `line`, with a pool onto `conv` and a list onto `out`, and one step in which all of `conv` fires."""
    fire = LIF(np.array([0], np.int32), np.array([0], np.int32), Reset.ZERO)
    one, pool = Conv2d(np.ones((1, 1, 1, 1), np.int8)), SumPool2d((1, 1), (1, 1))
    matrix = Dense(np.array([[1, 0, 2, 3], [4, 5, 6, 0]], np.int8))
    rows, columns = np.array([0, 0, 1, 1], np.int32), np.array([0, 3, 3, 4], np.int32)
    listed = Sparse(np.array([1, -2, 3, 0], np.int8), rows, columns, (2, 5))
    network = SpikingNetwork(
        (InputPort("in", (1, 2, 2), 1), InputPort("flat", (5,), 1)),
        (
            Layer("conv", (1, 2, 2), (Connection("in", one), Connection("in", pool)), fire),
            Layer("out", (2,), (Connection("conv", matrix), Connection("flat", listed)), fire),
        ),
    )
    return network, {"in": np.ones((1, 1, 1, 2, 2), np.int8), "flat": np.ones((1, 1, 5), np.int8)}


@pytest.fixture
def line_mapping():
    """The `line` on three cores: rows of `conv` on tiles (0, 0) and (2, 1), `out` on tile (0, 0)."""

    def make(chip):
        span, none = (0, 1), Resources(2, 1, 1, 1)
        cores = (
            Core(0, "conv", span, (0, 1), (0, 2), 0, 0, 0, 0, none),
            Core(1, "conv", span, (1, 2), (0, 2), 0, 2, 1, 0, none),
            Core(2, "out", (0, 2), span, span, 0, 0, 0, 1, none),
        )
        limits = Resources(1024, None, None, None)
        return Mapping(chip.name, 8, 4, 4, 1, limits, chip.costs.prices_activity, cores)

    return make


@pytest.fixture
def line_input():
    """One GOP of two steps: first inputs 0 and 2 and 3 are 1, then none."""
    return {"in": np.array([[[[[1, 0], [1, 1]]], [[[0, 0], [0, 0]]]]], np.int8)}
