"""An ATen program rewritten to compute the same in less time: same inputs, same outputs, other order of sums.

Every rule is a function from a graph to the same graph, changed. What must hold for all of them: the result differs
from the given program's by rounding alone.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, fx
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.passes.fake_tensor_prop import FakeTensorProp

from ann_part.precision import TYPES, Precision
from ann_part.rewrite.constants import fold_constants
from ann_part.rewrite.conv import typed_convolutions
from ann_part.rewrite.linear import packed_linears
from ann_part.rewrite.patches import batched_patches
from ann_part.rewrite.upsampled import low_resolution_convolutions
from ann_part.rewrite.winograd import winograd_convolutions

__all__ = ["rewrite"]


def rewrite(
    module: fx.GraphModule, inputs: tuple[Tensor, ...], device: torch.device, precision: Precision = "fp32"
) -> fx.GraphModule:
    """A faster form of an ATen program, on a device; the given one stays as it is.

    Args:
        module: a program as `ann_part.program.build` makes it.
        inputs: of the shapes that it will be given; the batch may be another one.
        device: where it will run: a CPU computes 3x3 convolutions in fp32 by Winograd's form, a GPU by its own.
        precision: of products; norms, softmax and sums over tokens stay in fp32.
    """
    out = copy.deepcopy(module).to(device)
    dtype = TYPES.get(precision, torch.float32)
    fold_constants(out)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        FakeTensorProp(out, mode).propagate(*(x.to(device) for x in inputs))
    low_resolution_convolutions(out)
    batched_patches(out, dtype)
    if device.type == "cpu" and precision == "fp32":
        winograd_convolutions(out)
    typed_convolutions(out, dtype)
    packed_linears(out, dtype)
    out.graph.eliminate_dead_code()
    out.delete_all_unused_submodules()
    out.graph.lint()
    out.recompile()
    return out.eval()
