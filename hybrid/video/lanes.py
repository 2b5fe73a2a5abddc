"""Row operations as vector instructions, to be called from numba.

Written as loops they come out value by value: LLVM unrolls the short rows of a block before its vectoriser sees
them, and nothing in numba's pipeline puts them together again. Nor can a loop say that what it writes will not be
read again soon. All of them take arrays in C order by the number of a value in them, and check no bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as _intrinsic

intrinsic: Callable[[Callable[..., Any]], Any] = _intrinsic
"""Its own type does not say that callers leave out the first argument."""

SHIFTED = 8
"""Pixels that `shift` takes: half a macroblock's row, one vector of 256 bits."""
SUBTRACTED = 32
"""Values that `subtract` takes: a cache line of results."""
LINE = 64
"""Bytes of a cache line."""


@intrinsic
def move(typing: Any, source: Any, start: Any, target: Any, at: Any, count: Any) -> Any:
    """memcpy of `count` values, from value `start` of one array to value `at` of another one."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        places = [_place(context, builder, signature, arguments, i) for i in (2, 0)]
        size = context.get_abi_sizeof(context.get_data_type(source.dtype))
        raw_memcpy: Any = cgutils.raw_memcpy
        raw_memcpy(builder, *places, arguments[4], size)
        return context.get_dummy_value()

    return types.void(source, types.intp, target, types.intp, types.intp), generate


@intrinsic
def shift(typing: Any, source: Any, start: Any, target: Any, at: Any, x: Any, y: Any) -> Any:
    """`SHIFTED` pairs of int16, from value `start` of one array to value `at` of another one, plus (x, y)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        half, index = ir.IntType(16), ir.IntType(32)
        vector = ir.VectorType(half, 2 * SHIFTED)
        nothing = ir.Constant(vector, ir.Undefined)
        pair = nothing
        for i in range(2):
            pair = builder.insert_element(pair, builder.trunc(arguments[4 + i], half), index(i))
        step = builder.shuffle_vector(
            pair, nothing, ir.Constant(ir.VectorType(index, 2 * SHIFTED), [index(0), index(1)] * SHIFTED)
        )
        read, write = (
            builder.bitcast(_place(context, builder, signature, arguments, i), vector.as_pointer()) for i in (0, 2)
        )
        builder.store(builder.add(builder.load(read, align=2), step), write, align=2)
        return context.get_dummy_value()

    return types.void(source, types.intp, target, types.intp, types.intp, types.intp), generate


@intrinsic
def subtract(typing: Any, first: Any, at: Any, second: Any, start: Any, result: Any, line: Any) -> Any:
    """`SUBTRACTED` bytes minus as many others, as int16, past the caches; value `line` begins a cache line.

    Other threads may see it late: end with `fence`.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.VectorType(ir.IntType(16), SUBTRACTED)
        narrow = ir.VectorType(ir.IntType(8), SUBTRACTED).as_pointer()
        places = [_place(context, builder, signature, arguments, i) for i in (0, 2, 4)]
        a, b = (builder.zext(builder.load(builder.bitcast(x, narrow), align=1), wide) for x in places[:2])
        store = builder.store(builder.sub(a, b), builder.bitcast(places[2], wide.as_pointer()), align=LINE)
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.IntType(32)(1)]))
        return context.get_dummy_value()

    return types.void(first, types.intp, second, types.intp, result, types.intp), generate


@intrinsic
def fence(typing: Any) -> Any:
    """Everything written so far is seen by all threads before anything written later."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def address(typing: Any, array: Any, at: Any) -> Any:
    """Where value `at` of an array lies in memory."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature, arguments, 0)
        return builder.ptrtoint(place, context.get_value_type(types.intp))

    return types.intp(array, types.intp), generate


def _place(context: Any, builder: Any, signature: Any, arguments: Any, i: int) -> Any:
    """Pointer to the value of array argument `i` whose number is argument `i + 1`."""
    array = context.make_array(signature.args[i])(context, builder, arguments[i])
    return builder.gep(array.data, [arguments[i + 1]])
