"""Compute once what does not depend on the input: positional encodings, transposed weights, indices."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from ann_part.rewrite.graph import aten, calls, constant

_SAME = (aten.alias.default, aten.clone.default, aten.detach.default)


def fold_constants(module: fx.GraphModule) -> None:
    """Replace every op on constants alone by its value, and drop copies that nothing writes to."""
    device = next((b.device for b in module.buffers()), torch.device("cpu"))
    for node in calls(module, *_SAME):
        if not node.kwargs:
            node.replace_all_uses_with(node.args[0])
            module.graph.erase_node(node)
    for node in list(module.graph.nodes):
        if node.op != "call_function" or not str(node.target).startswith("aten."):
            continue
        inputs = node.all_input_nodes
        if any(constant(module, x) is None for x in inputs):
            continue
        if not inputs and node.target != aten.arange.default:
            continue  # a new tensor of ones or zeros may be large
        with torch.inference_mode(False), torch.no_grad():
            value = node.target(*_values(module, node.args), **_values(module, dict(node.kwargs)))
        if isinstance(value, Tensor):
            name = f"folded_{node.name}"
            module.register_buffer(name, value.to(device).contiguous())
            with module.graph.inserting_before(node):
                node.replace_all_uses_with(module.graph.get_attr(name))
            module.graph.erase_node(node)


def _values(module: fx.GraphModule, args: Any) -> Any:
    return fx.node.map_arg(args, lambda node: constant(module, node))
