"""What the rules share: reading tensors out of a graph and putting modules in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn

aten: Any = torch._ops.ops.aten


def calls(module: fx.GraphModule, *targets: Any) -> Iterator[fx.Node]:
    """The nodes that call one of `targets`, in order; the graph may be changed meanwhile."""
    for node in list(module.graph.nodes):
        if node.op == "call_function" and node.target in targets:
            yield node


def constant(module: fx.GraphModule, node: Any) -> Tensor | None:
    """The tensor that a node stands for, or None where it is computed."""
    if not isinstance(node, fx.Node) or node.op != "get_attr":
        return None
    found = getattr(module, str(node.target))
    return found if isinstance(found, Tensor) else None


def store(module: fx.GraphModule, name: str, tensor: Tensor) -> str:
    """Keep a tensor in the module under a name of its own, which is returned."""
    module.register_buffer(name, tensor.detach().contiguous())
    return name


def insert(module: fx.GraphModule, path: str, child: nn.Module, *args: Any) -> fx.Node:
    """A call of `child` at the graph's insertion point."""
    module.add_submodule(path, child.to(next((b.device for b in module.buffers()), "cpu")))
    called: fx.Node = module.graph.call_module(path, args)
    return called


def put(module: fx.GraphModule, node: fx.Node, name: str, child: nn.Module, *args: Any) -> fx.Node:
    """Replace `node` by a call of `child`."""
    with module.graph.inserting_before(node):
        new = insert(module, f"{name}_{node.name}", child, *args)
    new.meta = dict(node.meta)
    node.replace_all_uses_with(new)
    module.graph.erase_node(node)
    return new


def width(node: fx.Node) -> int:
    """Channels of the maps that a node of the given program makes."""
    return int(node.meta["val"].shape[1])


def same_convolution(module: fx.GraphModule, node: Any, kernel: int) -> tuple[Tensor, Tensor] | None:
    """Weight and bias of a dense convolution of stride 1 that keeps the size of its maps, or None for others."""
    _, weight, bias, stride, padding, dilation, transposed, _, groups = node.args
    w, b = constant(module, weight), constant(module, bias)
    one, pad = [1, 1], [kernel // 2] * 2
    if transposed or groups != 1 or w is None or (list(stride), list(padding), list(dilation)) != (one, pad, one):
        return None
    if tuple(w.shape[2:]) != (kernel, kernel) or (bias is not None and b is None):
        return None
    return w, torch.zeros(len(w), device=w.device) if b is None else b


def sources(node: Any) -> list[Any]:
    """The maps that lie one behind the other along the channels in `node`."""
    if isinstance(node, fx.Node) and node.target == aten.cat.default and node.args[1:] == (1,):
        return [leaf for part in node.args[0] for leaf in sources(part)]
    return [node]
