"""Linear layers whose weights are cast, and on a CPU laid out for oneDNN, once instead of at every call."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from ann_part.rewrite.graph import aten, calls, constant, put


class PackedLinear(nn.Module):
    """A linear layer, and the GELU behind it where there is one.

    Args:
        weight: [O, K].
        bias: [O].
        rows: about how many it will be given, which oneDNN lays its weights out for.
        dtype: to multiply in; the result has it too.
        gelu: whether GELU follows.
    """

    def __init__(self, weight: Tensor, bias: Tensor, rows: int, dtype: torch.dtype, *, gelu: bool) -> None:
        super().__init__()
        self.dtype, self.gelu = dtype, gelu
        self.register_buffer("bias", bias.detach().to(dtype))
        self.packed: Tensor | None = None
        whole = weight.detach().to(dtype).contiguous()
        if weight.device.type == "cpu" and _PACK is not None and _packs(dtype):
            self.packed = _PACK(whole, rows)
        else:
            self.register_buffer("weight", whole)

    def forward(self, x: Tensor) -> Tensor:
        """[N, K] to [N, O]."""
        x = x.to(self.dtype)
        if self.packed is not None:
            after: tuple[str, list[float], str] = ("gelu", [], "none") if self.gelu else ("none", [], "")
            fused: Tensor = torch._ops.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, *after)
            return fused
        out = F.linear(x, self.weight, self.bias)
        return F.gelu(out) if self.gelu else out


class WideAttention(nn.Module):
    """Attention with scores and sums in fp32: on a CPU that is faster than the kernel for bf16, and closer."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """As `scaled_dot_product_attention`, the result in fp32."""
        return F.scaled_dot_product_attention(query.float(), key.float(), value.float())


def packed_linears(module: fx.GraphModule, dtype: torch.dtype) -> None:
    """Replace products with constant matrices; with a lower `dtype`, keep attention on a CPU in fp32."""
    device = next((b.device for b in module.buffers()), torch.device("cpu"))
    for node in calls(module, aten.addmm.default):
        bias, x, matrix = node.args
        b, w = constant(module, bias), constant(module, matrix)
        if b is None or w is None or b.ndim != 1 or node.kwargs:
            continue
        gelu = _gelu_behind(node)
        rows = int(node.meta["val"].shape[0])
        put(module, node, "linear", PackedLinear(w.t(), b, rows, dtype, gelu=gelu is not None), x)
        if gelu is not None:
            gelu.replace_all_uses_with(gelu.args[0])
            module.graph.erase_node(gelu)
    if device.type == "cpu" and dtype != torch.float32:
        for node in calls(module, aten.scaled_dot_product_attention.default):
            put(module, node, "attention", WideAttention(), *node.args)


def _gelu_behind(node: fx.Node) -> fx.Node | None:
    """The GELU that alone takes the node's values, through a change of shape."""
    users = list(node.users)
    if len(users) == 1 and users[0].target in (aten.view.default, aten._unsafe_view.default):
        users = list(users[0].users)
    alone = len(users) == 1 and users[0].target == aten.gelu.default and not users[0].kwargs
    return users[0] if alone else None


def _packs(dtype: torch.dtype) -> bool:
    """Whether oneDNN has a layout of its own for the type on this processor."""
    if not torch.backends.mkldnn.is_available():
        return False
    return dtype == torch.float32 or bool(torch._ops.ops.mkldnn._is_mkldnn_bf16_supported())


_PACK = getattr(torch._ops.ops.mkldnn, "_reorder_linear_weight", None)
"""oneDNN's layout of weights, which torch's own compiler uses; a torch without it takes the plain product."""
