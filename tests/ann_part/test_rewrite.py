"""The rewritten program computes what the given one does, at any size and batch."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from ann_part.embedding import PatchEmbedding, PositionalEncoding, fold
from ann_part.encoder import Encoder
from ann_part.mixer import RRDB, ConvFolding, ConvFusion
from ann_part.program import build, export_program
from ann_part.rewrite import rewrite
from ann_part.rewrite.linear import PackedLinear
from ann_part.rewrite.patches import PatchTokens
from ann_part.rewrite.upsampled import LowResolutionConvolution
from ann_part.rewrite.winograd import WinogradConvolution, transform_input

CPU = torch.device("cpu")
SIZES = st.integers(1, 11)


@given(st.integers(1, 3), SIZES, SIZES, st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
@torch.no_grad()
def test_winograds_form_equals_the_convolution_at_any_size_and_in_any_parts(batch, height, width, channels, out):
    torch.manual_seed(0)
    weight, bias = torch.randn(out, sum(channels), 3, 3) / (9 * sum(channels)) ** 0.5, torch.randn(out)
    parts = [torch.randn(batch, c, height, width) for c in channels]
    found = WinogradConvolution(weight, bias)([transform_input(x) for x in parts], parts[0])
    exact = F.conv2d(torch.cat(parts, 1).double(), weight.double(), bias.double(), padding=1)
    assert found.shape == exact.shape
    assert (found - exact).abs().max() < 1e-4


@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.integers(2, 5), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
@torch.no_grad()
def test_the_convolution_of_enlarged_maps_equals_the_one_at_low_resolution(batch, height, width, grow, channels):
    torch.manual_seed(0)
    weight = torch.randn(3, channels, 3, 3, dtype=torch.float64)
    maps = torch.randn(batch, channels, height, width, dtype=torch.float64)
    found = LowResolutionConvolution(weight, grow)(maps)
    exact = F.conv2d(F.interpolate(maps, scale_factor=grow), weight, padding=1)
    assert torch.allclose(found, exact, atol=1e-12)


@torch.no_grad()
def test_patches_of_all_streams_equal_each_streams_own_embedding():
    embed = [PatchEmbedding(3, 6, 8), PatchEmbedding(5, 6, 2), PatchEmbedding(5, 6, 2)]
    maps = [torch.randn(2, 3, 16, 24), torch.randn(2, 5, 4, 6), torch.randn(2, 5, 4, 6)]
    tokens = PatchTokens([e.projection.weight for e in embed], [e.projection.bias for e in embed], torch.float32)
    exact = torch.cat([e(x) for e, x in zip(embed, maps, strict=True)], 1)
    assert torch.allclose(tokens(*maps), exact, atol=1e-5)


@given(st.integers(1, 70), st.integers(1, 40), st.integers(1, 40), st.booleans())
@settings(max_examples=30, deadline=None)
@torch.no_grad()
def test_a_packed_linear_layer_equals_torchs_own_at_any_number_of_rows(rows, inputs, outputs, gelu):
    torch.manual_seed(0)
    layer = nn.Linear(inputs, outputs)
    found = PackedLinear(layer.weight, layer.bias, 16, torch.float32, gelu=gelu)(x := torch.randn(rows, inputs))
    assert torch.allclose(found, F.gelu(layer(x)) if gelu else layer(x), atol=1e-5)


class Whole(nn.Module):
    """Every part of the ANN, wide enough for every rule."""

    def __init__(self):
        super().__init__()
        self.embeds = nn.ModuleList([PatchEmbedding(3, 32, 8), PatchEmbedding(4, 32, 4), PatchEmbedding(4, 32, 4)])
        self.position = PositionalEncoding(3, (2, 3), 32)
        self.encoder = Encoder(32, 2, 4, 2, 0.1)
        self.folding = ConvFolding(96, 3, 1)
        self.fusion = ConvFusion(96, 8, 32, 4, 2)
        self.rrdb = RRDB(32, 32)
        self.head = nn.Linear(32, 7)

    def forward(self, iframe, motion, residual):
        streams = iframe - 0.5, motion, residual
        tokens = torch.cat([e(x) for e, x in zip(self.embeds, streams, strict=True)], 1)
        maps = fold(self.encoder(self.position(tokens)), 3, (2, 3))
        return self.head(self.rrdb(self.fusion(self.folding(maps), torch.cat([motion, residual], 1))).mean((2, 3)))


def inputs_of(batch):
    return torch.randn(batch, 3, 16, 24), torch.randn(batch, 4, 8, 12), torch.randn(batch, 4, 8, 12)


@pytest.fixture(scope="module")
def program():
    torch.manual_seed(0)
    return build(export_program(Whole().eval(), inputs_of(2)))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@torch.no_grad()
def test_a_rewritten_program_equals_the_given_one_at_every_batch(program, precision):
    rewritten = rewrite(program, inputs_of(2), CPU, precision)
    for batch in (1, 2, 5):
        exact, found = program(*(x := inputs_of(batch))), rewritten(*x).float()
        tolerance = {"fp32": 1e-5, "bf16": 2e-2}[precision]
        assert (found - exact).abs().max() < tolerance * exact.abs().max()


def test_every_rule_finds_its_place(program):
    rewritten = rewrite(program, inputs_of(2), CPU)
    kinds = Counter(type(child).__name__ for child in rewritten.children())
    assert kinds["WinogradConvolution"] == 16  # of the RRDB, and of the fusion what is not enlarged
    assert kinds["TypedConvolution"] == 2  # a pointwise and a grouped one
    assert kinds["PatchTokens"] == kinds["LowResolutionConvolution"] == 1
    assert kinds["PackedLinear"] == sum("addmm" in str(node.target) for node in program.graph.nodes)
    left = {str(node.target) for node in rewritten.graph.nodes if node.op == "call_function"}
    assert not left & {"aten.addmm.default", "aten.convolution.default", "aten.arange.default"}
    transforms = [node for node in rewritten.graph.nodes if node.target is transform_input]
    assert len(transforms) == 16  # 3 dense blocks of 5 sources each, however often each is read, and the fusion's


def test_rewriting_leaves_the_given_program_as_it_was(program):
    before = program.code, {name: x.clone() for name, x in program.named_buffers()}
    rewrite(program, inputs_of(2), CPU)
    assert program.code == before[0]
    assert all(torch.equal(x, before[1][name]) for name, x in program.named_buffers())
