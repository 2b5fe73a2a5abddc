"""The exported program: same numbers as the module, any batch, plain JSON, nothing but allowed operators."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from ann_part.embedding import PatchEmbedding, PositionalEncoding, fold
from ann_part.encoder import Encoder
from ann_part.mixer import RRDB, ConvFolding, ConvFusion
from ann_part.program import Program, ProgramError, build, export_program


class Small(nn.Module):
    """Every part of the ANN, small."""

    def __init__(self):
        super().__init__()
        self.embed = PatchEmbedding(3, 8, 4)
        self.position = PositionalEncoding(1, (3, 3), 8)
        self.encoder = Encoder(8, 2, 2, 2, 0.1)
        self.folding = ConvFolding(8, 1, 1)
        self.fusion = ConvFusion(8, 3, 4, 4)
        self.rrdb = RRDB(4, 2)

    def forward(self, x):
        maps = fold(self.encoder(self.position(self.embed(x))), 1, (3, 3))
        return self.rrdb(self.fusion(self.folding(maps), x)).mean(dim=(2, 3))


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture(scope="module")
def program(small):
    return export_program(small, (torch.randn(2, 3, 11, 10),))


def test_a_program_read_back_from_json_gives_the_modules_numbers_at_any_batch(small, program):
    records = json.loads(json.dumps(program.records))
    again = build(Program(tuple(records), program.tensors))
    for batch in (1, 2, 5):
        x = torch.randn(batch, 3, 11, 10)
        with torch.no_grad():
            assert torch.equal(again(x), small(x))


def test_attention_is_kept_as_the_operator_that_fits_any_device(program):
    targets = {record.get("target") for record in program.records}
    assert "aten.scaled_dot_product_attention.default" in targets
    assert not any("flash" in str(target) for target in targets)


@pytest.mark.parametrize(
    "target",
    ["aten.from_file.default", "aten.add_.Tensor", "os.system", "aten.nothing.default", "operator.attrgetter",
     "aten.add.Tensor.__globals__", "prims.add.default"],
)  # fmt: skip
def test_an_operator_that_could_do_more_than_compute_is_refused(target):
    records = (
        {"name": "x", "op": "input"},
        {"name": "y", "op": "call", "target": target, "args": [{"node": "x"}], "kwargs": {}},
        {"name": "output", "op": "output", "args": [{"node": "y"}]},
    )
    with pytest.raises(ProgramError, match="operator"):
        build(Program(records, {}))


@pytest.mark.parametrize(
    "record",
    [{"name": "x"}, {"name": "x", "op": "exec"}, {"name": "x", "op": "tensor", "target": "absent"},
     {"name": "x", "op": "call", "target": "aten.relu.default", "args": [{"node": "later"}], "kwargs": {}},
     {"name": "x", "op": "call", "target": "aten.relu.default", "args": [{"dtype": "load"}], "kwargs": {}}],
)  # fmt: skip
def test_a_malformed_record_is_refused(record):
    with pytest.raises(ProgramError):
        build(Program((record,), {}))


def test_no_name_in_a_file_becomes_code(tmp_path):
    made = tmp_path / "made"
    hostile = f"x=open({str(made)!r}, 'w')"
    call = {"name": "y", "op": "call", "target": "aten.relu.default", "args": [{"node": hostile}], "kwargs": {}}
    records = ({"name": hostile, "op": "input"}, call, {"name": "output", "op": "output", "args": [{"node": "y"}]})
    assert build(Program(records, {}))(torch.ones(1)) == 1
    call["kwargs"] = {f"a=open({str(made)!r}, 'w'),b": 1}
    with pytest.raises(ProgramError, match="keywords"):
        build(Program(records, {}))
    call["kwargs"] = 3
    with pytest.raises(ProgramError, match="keywords"):
        build(Program(records, {}))
    assert not made.exists()
