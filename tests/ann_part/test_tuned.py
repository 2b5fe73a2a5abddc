"""A tuned program gives the program's numbers, is raced once per shape, and never runs a form that is off or slower."""

from __future__ import annotations

import os
import time

import pytest
import torch
from torch import nn

from ann_part import tuned
from ann_part.captured import capture
from ann_part.compiled import compile_module, compiler
from ann_part.measure import measure
from ann_part.precision import autocast_precision
from ann_part.program import build, export_program
from ann_part.race import race
from ann_part.tuned import AS_GIVEN, Tuned

CPU = torch.device("cpu")
X = (torch.randn(4, 16),)


@pytest.fixture(scope="module")
def program():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.Linear(64, 5))
    return build(export_program(layers.eval(), X))


@pytest.fixture
def _any_size(monkeypatch):
    monkeypatch.setattr(tuned, "WORTH_OPERATIONS", 0)


pytestmark = pytest.mark.usefixtures("_any_size")


@torch.inference_mode()
def test_a_program_too_short_to_gain_stays_as_it_is(program, monkeypatch):
    monkeypatch.setattr(tuned, "WORTH_OPERATIONS", 2 * 4 * (16 * 64 + 64 * 5) + 1)
    fast = Tuned(program)
    assert torch.equal(fast(*X), program(*X))
    assert not fast.results
    monkeypatch.setattr(tuned, "WORTH_OPERATIONS", 2 * 4 * (16 * 64 + 64 * 5))
    other = Tuned(program)
    other(*X)
    assert other.results


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_tuned_is_a_drop_in_in_every_precision(program, precision):
    found = measure(Tuned(program), X, CPU, 2, precision)
    assert found.precision == precision
    with torch.no_grad():
        exact = program(*X)
    assert torch.allclose(found.output, exact, atol={"fp32": 1e-6, "bf16": 1e-2}[precision])


@torch.inference_mode()
def test_forms_race_once_per_shape_and_precision(program):
    fast = Tuned(program)
    for batch in (4, 2, 4):
        fast(torch.randn(batch, 16))
    with torch.autocast("cpu", torch.bfloat16):
        fast(*X)
        assert autocast_precision(CPU) == "bf16"
    assert [(key[1], key[2][0][0]) for key in fast.results] == [("fp32", 4), ("fp32", 2), ("bf16", 4)]
    for results in fast.results.values():
        assert {result.name for result in results} == {AS_GIVEN, "rewritten"}
        assert [r.seconds for r in results] == sorted(r.seconds for r in results)


def test_the_fastest_form_wins_unless_it_is_off_not_finite_or_fails():
    def slow(x):
        time.sleep(0.01)
        return 2 * x

    def fails(x):
        raise RuntimeError("no compiler\nand more")

    forms = {"slow": slow, "fast": lambda x: 2 * x, "off": lambda x: 2.1 * x, "inf": lambda x: x / 0, "fails": fails}
    results = race(forms, 2 * X[0], X, 1e-3)
    assert [r.name for r in results[:2]] == ["fast", "slow"]
    reasons = {r.name: r.left_out for r in results}
    assert "off by" in reasons["off"]
    assert "nan" in reasons["inf"]
    assert reasons["fails"] == "RuntimeError: no compiler"


@torch.inference_mode()
def test_a_rewriting_that_errs_is_left_out_with_a_warning_and_the_program_runs(program, monkeypatch):
    monkeypatch.setattr(tuned, "rewrite", lambda *_: lambda x: program(x) + 1)
    lines = []
    assert torch.equal(Tuned(program, warn=lines.append)(*X), program(*X))
    assert len(lines) == 1
    assert "'rewritten' of the ANN part was left out: off by" in lines[0]


@torch.inference_mode()
def test_a_program_that_no_rule_foresees_runs_as_it_is(program, monkeypatch):
    def fails(*_):
        raise KeyError("val")

    monkeypatch.setattr(tuned, "rewrite", fails)
    lines = []
    assert torch.equal(Tuned(program, warn=lines.append)(*X), program(*X))
    assert lines == ["the ANN part could not be rewritten: KeyError: 'val'"]


@torch.inference_mode()
def test_numbers_that_bf16_cannot_hold_fall_back_to_fp32_with_a_warning():
    # the largest number of fp32 is one that bf16 rounds to infinity
    program = build(export_program(nn.Linear(16, 5).eval(), X))
    bias = next(x for x in program.buffers() if x.ndim == 1)
    bias.fill_(torch.finfo(torch.float32).max)
    huge, lines = (torch.zeros(4, 16),), []
    found = measure(Tuned(program), huge, CPU, 1, "bf16", lines.append)
    assert found.precision == "fp32"
    assert bool(torch.isfinite(found.output).all())
    assert lines
    assert "computed in fp32" in lines[0]


@torch.inference_mode()
def test_a_graph_capture_without_a_gpu_is_the_module_itself(program):
    assert capture(program, X) is program


@pytest.mark.skipif(compiler() is None or "TEST_COMPILE" not in os.environ, reason="takes a minute; TEST_COMPILE=1")
@torch.inference_mode()
def test_the_compiled_form_takes_part_and_gives_the_same():
    program = build(export_program(nn.GELU(), X))
    fast = Tuned(program, compiled=True)
    assert torch.allclose(fast(*X), program(*X), atol=1e-6)
    (results,) = fast.results.values()
    assert {r.name: r.left_out for r in results}["compiled"] == ""


@torch.inference_mode()
def test_without_a_compiler_the_compiled_form_says_so(program, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="no C\\+\\+ compiler"):
        compile_module(program)(*X)
