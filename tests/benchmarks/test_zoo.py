"""The models of `benchmarks/tables` at their published sizes, and the counter against a hand count."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import vit_l_16

from benchmarks.tables.count import Layer, Part, count
from benchmarks.tables.zoo import METHODS, alt
from benchmarks.tables.zoo.i3d import I3D
from benchmarks.tables.zoo.transformer import Attention, ViT, attend

MILLIONS = {
    "VidTr": 90.89,  # Das Biswas et al., table 1
    "DMC-Net": 92.4,  # the same
    "CV-C3D": 235.3,  # the same; three C3D of 78.4 M (Tran et al., ICCV 2015)
    "TEAM-Net": 48.65,  # the same
    "CoViAR": 81.72,  # the same
    "Wu et al.": 33.69,  # the same
    "PKD": 79.2,  # the same
    "ALT-L/14": 437.1,  # the same
    "VideoMAE V2-g": 1013,  # Wang et al., CVPR 2023
    "VideoSwin-L": 200.0,  # Liu et al., CVPR 2022
    "Video-FocalNet-B": 157,  # Wasim et al., ICCV 2023
    "I3D": 25,  # both streams (Carreira and Zisserman, CVPR 2017, table 1)
}


@pytest.mark.parametrize(("name", "millions"), MILLIONS.items())
def test_a_model_has_its_published_number_of_parameters(name, millions):
    assert METHODS[name].parameters() / 1e6 == pytest.approx(millions, rel=0.02)


@pytest.mark.parametrize("name", [n for n, m in METHODS.items() if m.stated_gmac and n not in ("VidTr", "MIMO")])
def test_a_view_costs_what_its_authors_state(name):
    method = METHODS[name]
    if name == "Video-FocalNet-B":  # their figure lacks the dense convolutions along time
        counted = count(method.parts[0]).macs - count(method.parts[0]).overlooked
    else:
        counted = method.macs_per_view(method.protocol)
    assert counted / 1e9 == pytest.approx(method.stated_gmac, rel=0.05)


def test_one_stream_of_i3d_is_inception_inflated():
    found = count(Part("RGB", lambda: I3D(3, 400), ((1, 3, 64, 224, 224),)))
    assert found.parameters / 1e6 == pytest.approx(12.7, rel=0.02)  # 12 M and a bit: CVPR 2017, table 1
    assert found.macs / 1e9 == pytest.approx(108, rel=0.03)  # Feichtenhofer et al., ICCV 2019, table 2


def test_our_vit_l_is_the_one_of_torchvision():
    ours = count(Part("ours", lambda: ViT(1024, 24, 16, 4096, classes=1000), ((1, 3, 1, 224, 224),)))
    with torch.device("meta"):
        theirs = vit_l_16()
    assert ours.parameters == sum(p.numel() for p in theirs.parameters())


def test_attention_is_that_of_torch():
    q, k, v = (torch.randn(2, 5, 12) for _ in range(3))
    heads = [x.unflatten(-1, (3, -1)).transpose(1, 2) for x in (q, k, v)]
    wanted = nn.functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attend(q, k, v, 3), wanted)


def test_merging_leaves_fewer_tokens_with_the_same_direction_for_equal_ones():
    x = torch.randn(2, 21, 6)
    assert alt.merge(x).shape == (2, 21 - alt.MERGED, 6)
    same = torch.ones(1, 21, 6)
    torch.testing.assert_close(alt.merge(same), torch.ones(1, 21 - alt.MERGED, 6))


def test_the_counter_agrees_with_a_count_by_hand():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 16, 10))
    found = count(Part("small", lambda: net.to("meta"), ((1, 3, 8, 8),)))
    assert found.macs == 8 * 4 * 4 * 3 * 9 + 128 * 10
    assert found.parameters == 3 * 8 * 9 + 16 + 128 * 10 + 10
    assert found.layers == (
        Layer("0", 8 * 4 * 4 * 3 * 9, 4 * 3 * 8 * 9, (8, 27), 16, 3 * 64 + 8 * 16),
        Layer("3", 128 * 10, 4 * 1290, (10, 128), 1, 138),
        Layer("", 0),
    )
    assert (found.spiking_layers, found.spiking_macs, found.overlooked) == (0, 0, 0)


def test_the_products_of_attention_belong_to_no_layer():
    found = count(Part("small", lambda: Attention(8, 2), ((1, 5, 8),)))
    assert [(x.name, x.macs) for x in found.layers] == [
        ("query", 5 * 64), ("key_value", 5 * 128), ("out", 5 * 64), ("", 2 * 5 * 5 * 8)
    ]  # fmt: skip


def test_a_layer_that_runs_twice_has_both_runs_and_a_grouped_one_is_no_matrix():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.grouped = nn.Conv2d(4, 4, 1, bias=False), nn.Conv2d(4, 4, 1, groups=4, bias=False)

        def forward(self, x):
            return self.grouped(self.conv(self.conv(x)))

    conv, grouped, _ = count(Part("twice", Twice, ((1, 4, 5, 5),))).layers
    assert conv == Layer("conv", 2 * 25 * 16, 64, (4, 4), 50, 400)
    assert grouped.matrix is None


def test_no_weight_of_a_counted_model_has_memory():
    seen = []

    def build():
        seen.append(nn.Linear(10, 10))
        return seen[0]

    count(Part("any", build, ((1, 10),)))
    assert seen[0].weight.is_meta
