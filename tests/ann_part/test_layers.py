"""Each part of the ANN does what its name says."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ann_part.embedding import PatchEmbedding, PositionalEncoding, fold
from ann_part.encoder import Attention, Block, CrossAttention, PlaceAttention, StreamAttention
from ann_part.mixer import RRDB, AttentionPool, ConvFolding, ConvFusion


@pytest.mark.parametrize(("size", "grid"), [((8, 8), (2, 2)), ((9, 5), (3, 2)), ((4, 13), (1, 4))])
def test_patches_cover_any_resolution_and_do_not_overlap(size, grid):
    embed = PatchEmbedding(3, 6, 4)
    maps = torch.randn(2, 3, *size)
    with torch.no_grad():
        tokens = embed(maps)
        assert tokens.shape == (2, grid[0] * grid[1], 6)
        changed = maps.clone()
        changed[:, :, 0, 0] += 1  # a pixel of the first patch
        different = (embed(changed) - tokens).abs().sum(-1) > 1e-6
    assert different[:, 0].all()
    assert not different[:, 1:].any()


def test_folding_puts_every_token_back_to_its_place():
    maps = torch.arange(2 * 3 * 4 * 2 * 5.0).reshape(2, 3, 4, 2, 5)  # batch, stream, dim, row, column
    tokens = maps.flatten(3).transpose(2, 3).flatten(1, 2)
    assert torch.equal(fold(tokens, 3, (2, 5)), maps.flatten(1, 2))


def test_positions_tell_places_and_streams_apart():
    position = PositionalEncoding(3, (2, 2), 8)
    with torch.no_grad():
        encoded = position(torch.zeros(1, 12, 8))[0]
    assert len(torch.unique(encoded, dim=0)) == 12


def test_attention_equals_torchs_own_multihead_attention():
    ours, theirs = Attention(8, 2).eval(), nn.MultiheadAttention(8, 2, batch_first=True).eval()
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.qkv.weight, "in_proj_bias": ours.qkv.bias,
            "out_proj.weight": ours.out.weight, "out_proj.bias": ours.out.bias,
        }
    )  # fmt: skip
    tokens = torch.randn(3, 7, 8)
    with torch.no_grad():
        assert torch.allclose(ours(tokens), theirs(tokens, tokens, tokens)[0], atol=1e-6)


def touched(layer, n=6, token=5):
    """Which tokens' results change with one token."""
    tokens = torch.randn(1, n, 8)
    changed = tokens.clone()
    changed[:, token] = torch.randn(8)  # a constant would fall to the norm
    with torch.no_grad():
        return ((layer(changed) - layer(tokens)).abs().sum(-1) > 1e-7)[0].tolist()


@pytest.mark.parametrize("kind", ["unified", "cross"])
def test_a_block_mixes_tokens_of_all_streams(kind):
    assert all(touched(Block(8, 2, 2, 0.0, kind, 3).eval()))


def test_separate_attention_reaches_the_own_stream_and_then_the_own_place():
    # streams (0, 1), (2, 3), (4, 5): token 5 reaches 4 in its stream, then 1 and 3 at its place, and 0 and 2 at 4's
    assert touched(StreamAttention(8, 2, 3)) == [False, False, False, False, True, True]
    assert touched(PlaceAttention(8, 2, 3)) == [False, True, False, True, False, True]
    assert all(touched(Block(8, 2, 2, 0.0, "separate", 3).eval()))


def test_cross_attention_takes_from_the_other_streams_what_torchs_own_attention_takes():
    ours, theirs = CrossAttention(8, 2, 3), nn.MultiheadAttention(8, 2, batch_first=True)
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.qkv.weight, "in_proj_bias": ours.qkv.bias,
            "out_proj.weight": ours.out.weight, "out_proj.bias": ours.out.bias,
        }
    )  # fmt: skip
    tokens = torch.randn(2, 6, 8)
    streams = tokens.split(2, dim=1)
    with torch.no_grad():
        for s, mixed in enumerate(ours(tokens).split(2, dim=1)):
            others = torch.cat([x for k, x in enumerate(streams) if k != s], dim=1)
            assert torch.allclose(mixed, theirs(streams[s], others, others)[0], atol=1e-6)


def test_the_class_token_pools_by_attention_over_all_places():
    pool = AttentionPool(4)
    maps = torch.randn(2, 4, 3, 3)
    with torch.no_grad():
        pooled = pool(maps)
        assert pooled.shape == (2, 4)
        changed = maps.clone()
        changed[0, :, 2, 1] = torch.randn(4)
        assert not torch.allclose(pool(changed)[0], pooled[0])
        assert torch.equal(pool(changed)[1], pooled[1])
        assert torch.allclose(pool(maps.flip(2)), pooled, atol=1e-6)


def test_conv_folding_overlaps_within_a_stream_and_not_across():
    folding = ConvFolding(6, 3, 1)
    maps = torch.randn(1, 6, 5, 5)
    changed = maps.clone()
    changed[0, 0, 2, 2] += 1
    with torch.no_grad():
        different = (folding(changed) - folding(maps)).abs() > 1e-7
    assert different[0, :2, 1:4, 1:4].any(0).all()
    assert not different[0, 2:].any()


def test_fusion_sees_both_the_high_and_the_low_maps():
    fusion = ConvFusion(4, 3, 5, 2)
    high, low = torch.randn(1, 4, 3, 3), torch.randn(1, 3, 6, 6)
    with torch.no_grad():
        out = fusion(high, low)
        assert out.shape == (1, 5, 3, 3)
        assert not torch.equal(out, fusion(high + 1, low))
        assert not torch.equal(out, fusion(high, low + 1))
        assert ConvFusion(4, 3, 5, 2, 2)(high, low).shape == (1, 5, 6, 6)


def test_with_zero_weights_dense_blocks_pass_on_their_input_and_the_rrdb_adds_a_fifth_of_it():
    block = RRDB(4, 2)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    maps = torch.randn(1, 4, 5, 5)
    with torch.no_grad():
        assert torch.equal(block.blocks(maps), maps)
        assert torch.allclose(block(maps), 1.2 * maps)
