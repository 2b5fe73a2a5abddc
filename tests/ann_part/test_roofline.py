"""Operations and bytes are those that torch's own counter, and a pencil, give."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ann_part.encoder import Encoder
from ann_part.program import build, export_program
from ann_part.rewrite import rewrite
from ann_part.roofline import KINDS, Peaks, count_work, measure_kinds, measure_peaks

CPU = torch.device("cpu")


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.encoder = nn.Conv2d(6, 8, 3, padding=1, groups=2), Encoder(8, 2, 2, 2, 0.0)

    def forward(self, x):
        return self.encoder(self.conv(x).flatten(2).transpose(1, 2))


@pytest.fixture(scope="module")
def program():
    return build(export_program(Mixed().eval(), (torch.randn(2, 6, 3, 5),)))


def test_operations_are_those_of_torchs_own_counter_at_any_batch(program):
    for batch in (1, 4):
        x = torch.randn(batch, 6, 3, 5)
        work = count_work(program, (x,))
        with FlopCounterMode(display=False) as counter:
            program(x)
        # 2 layers, 2 heads, 15 tokens of width 4; older torch's counter does not know the attention of a CPU
        attention = 2 * 2 * batch * 2 * 15 * 15 * (4 + 4)
        assert work["attention"].operations == attention
        missing = 0 if "scaled_dot_product" in str(counter.get_flop_counts()) else attention
        assert sum(w.operations for w in work.values()) == counter.get_total_flops() + missing
        # input, weight, bias and output of the convolution
        assert work["convolutions"].bytes == 4 * (batch * 90 + 8 * 3 * 9 + 8 + batch * 120)


def test_every_second_goes_to_a_kind_of_the_given_and_of_the_rewritten_program(program):
    x = (torch.randn(2, 6, 3, 5),)
    for module in (program, rewrite(program, x, CPU), rewrite(program, x, CPU, "bf16")):
        assert all(seconds > 0 for seconds in measure_kinds(module, x).values())


def test_the_roof_is_the_lower_of_both_peaks(monkeypatch):
    peaks = Peaks(100.0, 10.0)
    assert (peaks.roof(5), peaks.roof(50)) == (50, 100)
    monkeypatch.setattr("ann_part.roofline.MATRIX", {"cpu": 256})
    monkeypatch.setattr("ann_part.roofline.COPY_BYTES", {"cpu": 2**22})
    found = measure_peaks(CPU, "bf16", repeats=1)
    assert min(found.operations_per_s, found.bytes_per_s) > 1e7
    assert len(KINDS) == 4
