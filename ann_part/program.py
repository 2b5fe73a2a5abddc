"""An exported ATen program as plain records and tensors, and back, without unpickling anything.

`torch.export.save` stores tensors as pickles and ties the file to one torch version. Here the exported graph
becomes a list of JSON-ready records (one per node, ATen operators only) beside a dict of tensors, and loading
rebuilds it from an allow-list of pure operators, so that a file from a stranger can compute but do nothing
else.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch.export import Dim, ExportedProgram, export

_aten = torch._ops.ops.aten
SCALAR_OPS = {"mul": operator.mul, "add": operator.add, "sub": operator.sub, "floordiv": operator.floordiv,
              "mod": operator.mod, "neg": operator.neg, "getitem": operator.getitem}  # fmt: skip
FORBIDDEN = {"from_file"}
"""ATen operators that touch the file system."""
FLASH_CPU = "aten._scaled_dot_product_flash_attention_for_cpu.default"
ATTENTION = "aten.scaled_dot_product_attention.default"
WHOLE = {_aten.scaled_dot_product_attention.default, _aten.sym_size.int}
"""Composite operators that stay as they are: each device has its own kernel for attention, and sizes are no work."""
_ENUMS = ("memory_format", "dtype", "layout")


class ProgramError(ValueError):
    """A record that is no program of ours, or an operator that is not allowed."""


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """An exported program.

    Attributes:
        records: one JSON-ready dict per node, in execution order.
        tensors: parameters and buffers by name.
    """

    records: tuple[dict[str, Any], ...]
    tensors: Mapping[str, Tensor]


def export_program(module: nn.Module, example: tuple[Tensor, ...], *, batch_axes: Sequence[int] = ()) -> Program:
    """Export `module` with a batch dimension of any size.

    Args:
        module: in evaluation mode; takes tensors.
        example: its inputs, with a batch of at least 2.
        batch_axes: where each input has its batch; first without it.

    Raises:
        ProgramError: where a node cannot be written down.
    """
    batch = Dim("batch", min=1, max=4096)
    shapes: Any = tuple({axis: batch} for axis in batch_axes or [0] * len(example))
    # not strict: the module is run, not its Python read, which takes twice as long and fails on other libraries' code
    program = _lowered(export(module, example, dynamic_shapes=shapes, strict=False))
    signature, tensors = program.graph_signature, {}
    stored = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    values = {**program.state_dict, **program.constants}
    constants = getattr(signature, "inputs_to_lifted_tensor_constants", {})
    records = []
    for node in program.graph.nodes:
        name = {**stored, **constants}.get(node.name) if node.op == "placeholder" else None
        if name is not None:
            tensors[name] = values[name].detach().contiguous()
            records.append({"name": node.name, "op": "tensor", "target": name})
        else:
            records.append(_record(node))
    return Program(tuple(_portable(records)), tensors)


def _lowered(program: ExportedProgram) -> ExportedProgram:
    """Composite operators by their parts: older torch exports them so, and the rules of `rewrite` look for those."""
    before: set[Any] = set()
    while (composite := {node.target for node in program.graph.nodes if _is_composite(node.target)}) - before:
        # those that are not in the table are views, which are taken apart in any case
        known = torch.export.default_decompositions()  # type: ignore[attr-defined]
        program = program.run_decompositions({target: known[target] for target in composite if target in known})
        before = composite
    return program


def _is_composite(target: Any) -> bool:
    if not isinstance(target, OpOverload) or target in WHOLE:
        return False
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(target.name(), "CompositeImplicitAutograd"))


def build(program: Program) -> nn.Module:
    """The program as a module; its parameters are the given tensors.

    Raises:
        ProgramError: for anything that is no record of ours, or an operator off the allow-list.
    """
    root = nn.Module()
    graph = fx.Graph()
    nodes: dict[str, fx.Node] = {}
    for i, (name, tensor) in enumerate(sorted(program.tensors.items())):
        root.register_buffer(f"tensor_{i}", tensor)
        nodes[f"/{name}"] = graph.get_attr(f"tensor_{i}")
    try:
        for record in program.records:
            kind, name = record["op"], str(record["name"])
            if kind == "input":
                # torch puts this name into Python code that it runs: never one from the file
                nodes[name] = graph.placeholder(f"input_{len(nodes)}")
            elif kind == "tensor":
                nodes[name] = nodes[f"/{record['target']}"]
            elif kind == "output":
                results = _decode(record["args"], nodes)
                graph.output(results[0] if len(results) == 1 else tuple(results))
            elif kind == "call":
                args, kwargs = _decode(record["args"], nodes), _decode(record["kwargs"], nodes)
                target = _operator(str(record["target"]))
                _check_keywords(target, kwargs)
                nodes[name] = graph.call_function(target, tuple(args), kwargs)
            else:
                raise ProgramError(f"unknown kind of record {kind!r}")
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ProgramError(f"malformed record: {error}") from error
    graph.eliminate_dead_code()
    module: nn.Module = fx.GraphModule(root, graph)
    return module.eval()


def _record(node: fx.Node) -> dict[str, Any]:
    if node.op == "placeholder":
        return {"name": node.name, "op": "input"}
    if node.op == "output":
        return {"name": node.name, "op": "output", "args": _encode(node.args[0])}
    return {
        "name": node.name, "op": "call", "target": _target(node.target),
        "args": _encode(node.args), "kwargs": _encode(node.kwargs),
    }  # fmt: skip


def _target(target: Any) -> str:
    for name, function in SCALAR_OPS.items():
        if target is function:
            return f"operator.{name}"
    name = str(target)
    if not name.startswith("aten."):
        raise ProgramError(f"operator {name} is not an ATen operator")
    return name


def _encode(value: Any) -> Any:
    if isinstance(value, fx.Node):
        return {"node": value.name}
    if isinstance(value, (list, tuple)):
        return [_encode(item) for item in value]
    if isinstance(value, dict):
        return {key: _encode(item) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.device):
        return None  # the program runs where its tensors are
    for kind, types in (
        ("memory_format", torch.memory_format),
        ("dtype", torch.dtype),
        ("layout", torch.layout),
    ):
        if isinstance(value, types):
            return {kind: str(value).removeprefix("torch.")}
    raise ProgramError(f"argument of type {type(value).__name__} cannot be written down")


def _decode(value: Any, nodes: Mapping[str, fx.Node]) -> Any:
    if isinstance(value, list):
        return [_decode(item, nodes) for item in value]
    if isinstance(value, dict):
        if value.keys() == {"node"}:
            return nodes[value["node"]]
        if len(value) == 1 and next(iter(value)) in _ENUMS and isinstance(next(iter(value.values())), str):
            kind, name = next(iter(value.items()))
            found = getattr(torch, name)
            if type(found).__name__ != kind:
                raise ProgramError(f"{name!r} is no {kind}")
            return found
        return {key: _decode(item, nodes) for key, item in value.items()}
    return value


def _operator(target: str) -> Any:
    if target.startswith("operator.") and target.removeprefix("operator.") in SCALAR_OPS:
        return SCALAR_OPS[target.removeprefix("operator.")]
    match = re.fullmatch(r"aten\.([a-z_0-9]+)\.([A-Za-z_0-9]+)", target)
    if not match or match[1] in FORBIDDEN:
        raise ProgramError(f"operator {target!r} is not allowed")
    try:
        found = getattr(getattr(torch._ops.ops.aten, match[1]), match[2])
    except AttributeError as error:
        raise ProgramError(f"this torch has no operator {target!r}") from error
    if not isinstance(found, torch._ops.OpOverload) or found._schema.is_mutable:
        raise ProgramError(f"operator {target!r} changes its input and is not allowed")
    return found


def _check_keywords(target: Any, kwargs: Any) -> None:
    """Refuse keywords that the operator does not have: torch puts them into Python code that it runs."""
    schema = getattr(target, "_schema", None)
    known = {argument.name for argument in schema.arguments} if schema else set()
    if not isinstance(kwargs, dict) or not kwargs.keys() <= known:
        raise ProgramError(f"{target} does not take the keywords {kwargs!r}")


def _portable(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replace torch 2.3's CPU-only attention by the operator that picks a kernel for its device.

    Raises:
        ProgramError: for attention with a mask, dropout or scale, which this does not carry.
    """
    portable, attention = [], set()
    for record in records:
        if record.get("target") == FLASH_CPU:
            if len(record["args"]) > 3 or record["kwargs"]:
                raise ProgramError(f"attention {record['name']!r} has a mask, dropout or scale")
            attention.add(record["name"])
            portable.append({**record, "target": ATTENTION})
        elif record.get("target") == "operator.getitem" and record["args"][0].get("node") in attention:
            if record["args"][1] != 0:
                raise ProgramError(f"{record['name']!r} uses more of the attention than its result")
            portable.append({**record, "target": "aten.alias.default", "args": record["args"][:1]})
        else:
            portable.append(record)
    return portable
