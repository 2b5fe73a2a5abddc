"""Run a model once on real values and write down what it does, as a program of torch operations.

Every recorded value knows what it is on the example, so that loops over its shape run as they do in the user's
hands; a decision that depends on the numbers themselves is refused, with file and line.
"""

from __future__ import annotations

import dis
import operator
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from hybrid.errors import BadInputError
from hybrid.graph.cells import Kind, kind_of
from hybrid.model.temporal import ConvLSTM

PLAIN = frozenset(
    {"device", "dtype", "layout", "is_sparse", "is_cuda", "is_quantized", "requires_grad", "ndim", "names"}
)
"""Attributes of a tensor that are the same for every input."""
NUMBERS = frozenset({"item", "tolist", "numpy", "nonzero", "unique"})
"""Methods whose result, or its size, depends on the numbers in a tensor."""
PLAIN_OF = {
    operator.iadd: operator.add, operator.isub: operator.sub, operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
}  # fmt: skip
"""What makes a new value instead of changing one."""
AUGMENTED = {"add_": "add", "sub_": "sub", "mul_": "mul", "div_": "div"}
"""What `x += y` and its like call on a tensor x; the name x then stands for the result."""
ZEROS = (torch.zeros_like, torch.zeros, "new_zeros")
"""What gives 0 for every input."""
SIZED = ("zeros", "ones")
"""What makes a tensor of a size that is given number by number."""
WRAP = (
    "keep decisions out of forward: compute both ways and choose with torch.where, or move the decision into a "
    "module that the host runs before or after the model"
)
LIBRARIES = tuple(
    str(Path(found).parent) for found in (torch.__file__, __file__) if found is not None
)  # fmt: skip
"""Where a frame is not the user's code."""


class Traced(fx.Proxy):
    """A value of the program, which is also a value on the example."""

    value: Any = None

    def __getattr__(self, k: str) -> Any:
        found = getattr(self.value, k)
        if callable(found):
            return fx.proxy.Attribute(self, k)
        if k in PLAIN:
            return found
        return self.tracer.create_proxy("call_function", getattr, (self, k), {})

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice) and isinstance(self.value, (tuple, list)):
            return tuple(self)[key]
        return self.tracer.create_proxy("call_function", operator.getitem, (self, key), {})

    def __len__(self) -> int:
        return len(self.value)

    def __bool__(self) -> bool:
        return bool(self._number("a decision depends on the numbers in a tensor"))

    def __index__(self) -> int:
        return int(self._number("a loop or an index depends on the numbers in a tensor").__index__())

    def __int__(self) -> int:
        return int(self._number("the numbers in a tensor become a Python number"))

    def __float__(self) -> float:
        return float(self._number("the numbers in a tensor become a Python number"))

    def __setitem__(self, key: object, value: object) -> None:
        raise BadInputError(
            place(sys._getframe(1)),
            "the model writes into a tensor",
            "collect the steps in a list and torch.stack them",
        )

    def _number(self, what: str) -> Any:
        if isinstance(self.value, Tensor):
            raise BadInputError(place(sys._getframe(2)), what, WRAP)
        return self.value


class Tracer(fx.Tracer):
    """Records a model; spiking cells are leaves.

    Each node keeps the shape of its value, without the numbers, as `meta["value"]`; a call of a cell that keeps
    its state in itself, the call that it goes on from as `meta["goes_on"]`; a constant whether it is 0 as
    `meta["zero"]`; a layer of ours that takes whole sequences the share of nonzero inputs as `meta["activity"]`.

    Attributes:
        result: what the model gave on the example.
    """

    def __init__(self, example: tuple[Tensor, ...]) -> None:
        super().__init__()
        self._example = [x.clone() for x in example]
        self._running = False
        self._hidden: dict[nn.Module, tuple[fx.Node, Any]] = {}
        self.result: Any = None

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Cells, our own layers and what torch itself defines."""
        return kind_of(m) is not None or isinstance(m, ConvLSTM) or super().is_leaf_module(m, module_qualified_name)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """The value of a node."""
        return cast(fx.Proxy, Traced(node, self))

    def create_args_for_root(
        self, root_fn: Callable[..., Any], is_module: bool, concrete_args: object = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        """One placeholder for each given input; what follows keeps its default."""
        names = root_fn.__code__.co_varnames[1 : 1 + len(self._example)]

        def keep_result(*args: Any) -> Any:
            result = root_fn(*args)
            self.result = _unwrap(result)
            return result

        return keep_result, [self.root, *(self.create_proxy("placeholder", name, (), {}) for name in names)]

    def create_node(self, kind: str, target: Any, args: Any, kwargs: Any, *more: Any, **named: Any) -> fx.Node:
        """A node of the program."""
        node: fx.Node = super().create_node(kind, target, args, kwargs, *more, **named)
        if kind == "get_attr":
            node.meta["value"] = self._attribute(str(target))
            node.meta["zero"] = isinstance(node.meta["value"], Tensor) and not bool(node.meta["value"].any())
        return node

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *more: Any, **named: Any) -> Traced:
        """A value of the program, computed at once."""
        if kind == "call_method" and target in NUMBERS:
            raise BadInputError(place(sys._getframe(1)), f"the model calls {target}() on a tensor", WRAP)
        if kind == "call_method" and target in AUGMENTED and _is_augmented(sys._getframe(1)):
            target = AUGMENTED[target]
        if kind == "call_method" and (target == "__setitem__" or re.fullmatch(r"[a-z]\w*[^_]_", target)):
            what = f"the model changes a tensor in place: {target}"
            raise BadInputError(place(sys._getframe(1)), what, "make a new one: torch.stack of a list, x = x + y")
        target = PLAIN_OF.get(target, target)
        term = _beside_zero(args) if target in ("add", operator.add, torch.add) and not kwargs else None
        if term is not None:
            return term
        given = _unwrap(args), _unwrap(kwargs)
        module = self.root.get_submodule(str(target)) if kind == "call_module" else None
        before = None if module is None else self._goes_on(module, kind_of(module))
        self._running = True
        try:
            with torch.no_grad():
                value = self._run(kind, target, module, *given)
        finally:
            self._running = False
        made = cast(Traced, super().create_proxy(kind, target, args, kwargs, *more, **named))
        made.value = value
        if kind != "get_attr":
            made.node.meta |= {"value": _shape_of(value), "goes_on": before}
        if target in ZEROS:
            made.node.meta["zero"] = True
        if module is not None and kind_of(module) is not None and isinstance(given[0][0], Tensor):
            made.node.meta["activity"] = float((given[0][0] != 0).float().mean())
        return made

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """A call inside the model; one inside a leaf is only run."""
        if self._running:
            return forward(*args, **kwargs)
        result = super().call_module(m, forward, args, kwargs)
        kind = kind_of(m)
        if kind is not None and kind.hidden(m) is not None:
            self._hidden[m] = (result.node, kind.hidden(m))
        return result

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """An attribute of a module; a parameter becomes a value of the program."""
        return attr_val if self._running else super().getattr(attr, attr_val, parameter_proxy_cache)

    def _run(self, kind: str, target: Any, module: nn.Module | None, args: Any, kwargs: Any) -> Any:
        if kind == "placeholder":
            return self._example.pop(0)
        if kind == "get_attr":
            return self._attribute(str(target))
        if module is not None:
            return module(*args, **kwargs)
        return getattr(args[0], target)(*args[1:], **kwargs) if kind == "call_method" else target(*args, **kwargs)

    def _attribute(self, path: str) -> Any:
        """What a dotted path names, and not a value of the program for it."""
        before, self._running = self._running, True
        try:
            found: Any = self.root
            for name in path.split("."):
                found = getattr(found, name)
        finally:
            self._running = before
        return found

    def _goes_on(self, module: nn.Module, kind: Kind | None) -> fx.Node | None:
        """The call whose state, kept in the module, this one continues; None where it begins anew."""
        if kind is None or module not in self._hidden:
            return None
        call, state = self._hidden[module]
        now = kind.hidden(module)
        if now is not state and bool(now.any()):
            what = f"{kind.name} is given a state other than 0 from outside"
            raise BadInputError(place(sys._getframe(1)), what, "pass the state as an argument, or begin at 0")
        return call if now is state else None


def trace_program(model: nn.Module, example: tuple[Tensor, ...]) -> tuple[fx.Graph, Any]:
    """The program of `model`, whose names are those of the model, and what it gave on `example`.

    Raises:
        BadInputError: with file and line, where the model fails on the example, or depends on its numbers.
    """
    forget(model)
    tracer = Tracer(example)
    try:
        with _sizes_as_tuples():
            graph = tracer.trace(model)
    except BadInputError:
        raise
    except Exception as error:
        _check_runs(model, example)
        what = f"{type(model).__name__} cannot be traced: {_line(error)}"
        raise BadInputError(_origin(error.__traceback__), what, WRAP) from error
    forget(model)
    return graph, tracer.result


@contextmanager
def _sizes_as_tuples() -> Iterator[None]:
    """Let `torch.zeros(x.shape[0], 4)` be written: torch 2.15 takes a traced number in a tuple only."""

    def tupled(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*size: Any, **options: Any) -> Any:
            return function(size, **options) if any(isinstance(x, Traced) for x in size) else function(*size, **options)

        return call

    before = {name: getattr(torch, name) for name in SIZED}
    for name, function in before.items():
        setattr(torch, name, tupled(function))
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(torch, name, function)


def forget(model: nn.Module) -> None:
    """Set the state that cells keep in themselves to 0."""
    for module in model.modules():
        kind = kind_of(module)
        if kind is not None:
            kind.reset(module)


def _check_runs(model: nn.Module, example: tuple[Tensor, ...]) -> None:
    forget(model)
    try:
        with torch.no_grad():
            model(*(x.clone() for x in example))
    except Exception as error:
        shapes = " and ".join(str(list(x.shape)) for x in example)
        what = f"on inputs of {shapes} the model raises {_line(error)}"
        raise BadInputError(
            _origin(error.__traceback__), what, "check --input-shape, or run the model by itself first"
        ) from error


def _unwrap(value: Any) -> Any:
    return fx.node.map_aggregate(value, lambda x: x.value if isinstance(x, Traced) else x)


def _shape_of(value: Any) -> Any:
    """A value without its numbers."""
    return fx.node.map_aggregate(value, lambda x: x.to("meta") if isinstance(x, Tensor) else x)


def place(frame: FrameType | None) -> str:
    """File and line of the innermost frame that is the user's."""
    while frame is not None and _foreign(frame.f_code.co_filename):
        frame = frame.f_back
    return "the model" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _is_augmented(frame: FrameType | None) -> bool:
    """Whether the innermost frame of the user's is at `x += y` or its like."""
    while frame is not None and _foreign(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None:
        return False
    (now,) = (x for x in dis.get_instructions(frame.f_code) if x.offset == frame.f_lasti)
    return now.opname.startswith("INPLACE_") or (now.opname == "BINARY_OP" and now.argrepr.endswith("="))


def _beside_zero(args: Sequence[Any]) -> Traced | None:
    """The other term of an addition to a constant 0 of its shape: a sum as it begins."""
    if len(args) != 2:
        return None
    for zero, term in (args, args[::-1]):
        plain = isinstance(zero, Tensor) and not isinstance(zero, nn.Parameter) and isinstance(term, Traced)
        if plain and isinstance(term.value, Tensor) and zero.shape == term.value.shape and not bool(zero.any()):
            return cast(Traced, term)
    return None


def _origin(trace: TracebackType | None) -> str:
    own = [x for x in traceback.extract_tb(trace) if not _foreign(x.filename)]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else "the model"


def _foreign(filename: str) -> bool:
    return filename.startswith(LIBRARIES) or "site-packages" in filename or filename.startswith("<")


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
