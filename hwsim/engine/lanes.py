"""Vectors of 32-bit integers for numba kernels, with the operators that the neuron's arithmetic needs.

Numba widens int32 products to int64 and vectorises few of the loops here; as vectors they come out as one
instruction each. Arrays are in C order and addressed by the number of a value in them; no bounds are checked.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.datamodel.models import PrimitiveModel
from numba.extending import intrinsic as _intrinsic
from numba.extending import overload, register_model

intrinsic: Callable[[Callable[..., Any]], Any] = _intrinsic
"""Its own type does not say that callers leave out the first argument."""

WIDTH = 16
"""Values in a vector."""
SCANNED = 64
"""Values that `nonzero` looks at."""

_WORD = ir.IntType(32)
_VECTOR = ir.VectorType(_WORD, WIDTH)


class _Lanes(types.Type):
    """`WIDTH` integers that wrap, of 32 or 16 bits."""

    def __init__(self, bits: int) -> None:
        super().__init__(name=f"lanes{bits}")
        self.vector = ir.VectorType(ir.IntType(bits), WIDTH)


_lanes, _shorts = _Lanes(32), _Lanes(16)


@register_model(_Lanes)
class _LanesModel(PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, kind.vector)  # type: ignore[no-untyped-call]


@intrinsic
def load(typing: Any, array: Any, at: Any) -> Any:
    """Lanes from value `at` of an array on, widened to 32 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = builder.load(_place(context, builder, signature, arguments, 0), align=1)
        if found.type == _VECTOR:
            return found
        return builder.sext(found, _VECTOR) if array.dtype.signed else builder.zext(found, _VECTOR)

    return _lanes(array, types.intp), generate


@intrinsic
def store(typing: Any, array: Any, at: Any, value: Any) -> Any:
    """Write lanes to value `at` of an array on, cut to its type."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature, arguments, 0)
        value = arguments[2]
        if place.type.pointee != _VECTOR:
            value = builder.trunc(value, place.type.pointee)
        builder.store(value, place, align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


@intrinsic
def stream(typing: Any, array: Any, at: Any, value: Any) -> Any:
    """Write lanes to int32 values that nobody reads soon, past the caches; `at` is at a multiple of 64 bytes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature, arguments, 0)
        written = builder.store(arguments[2], place, align=64)
        written.set_metadata("nontemporal", builder.module.add_metadata([_WORD(1)]))
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


@intrinsic
def fill(typing: Any, value: Any) -> Any:
    """Lanes that are all alike: of 16 bits for an int16, else of 32."""
    kind = _shorts if value == types.int16 else _lanes

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _spread(builder, arguments[0], kind.vector)

    return kind(value), generate


@intrinsic
def load_shorts(typing: Any, array: Any, at: Any) -> Any:
    """Lanes of 16 bits from value `at` of an int16 array on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_place(context, builder, signature, arguments, 0), align=1)

    return _shorts(array, types.intp), generate


@intrinsic
def add_shorts(typing: Any, sums: Any, to: Any, value: Any) -> Any:
    """Add lanes of 16 bits to as many sums of that or a wider type."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target = _place(context, builder, signature, arguments, 0)
        value = builder.sext(arguments[2], target.type.pointee)
        builder.store(builder.add(builder.load(target, align=1), value), target, align=1)
        return context.get_dummy_value()

    return types.void(sums, types.intp, value), generate


@intrinsic
def exceeds(typing: Any, a: Any, b: Any) -> Any:
    """-1 where a > b, else 0: a mask for `&`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.sext(builder.icmp_signed(">", *arguments), _VECTOR)

    return _lanes(_lanes, _lanes), generate


@intrinsic
def differs(typing: Any, a: Any, b: Any) -> Any:
    """-1 where a != b, else 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.sext(builder.icmp_signed("!=", *arguments), _VECTOR)

    return _lanes(_lanes, _lanes), generate


@intrinsic
def unless(typing: Any, mask: Any, value: Any) -> Any:
    """The value, but 0 where the mask is -1."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.and_(builder.not_(arguments[0]), arguments[1])

    return _lanes(_lanes, _lanes), generate


@intrinsic
def smaller(typing: Any, a: Any, b: Any) -> Any:
    """The smaller of each pair."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.icmp_signed("<", *arguments), *arguments)

    return _lanes(_lanes, _lanes), generate


@intrinsic
def larger(typing: Any, a: Any, b: Any) -> Any:
    """The larger of each pair."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.icmp_signed(">", *arguments), *arguments)

    return _lanes(_lanes, _lanes), generate


@intrinsic
def add_products(typing: Any, sums: Any, to: Any, weights: Any, at: Any, factor: Any) -> Any:
    """Add `factor` times `WIDTH` weights to as many sums of a wider type, modulo its range.

    A factor of one byte is a spike, which is 1.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target = _place(context, builder, signature, arguments, 0)
        kind = target.type.pointee
        product = builder.sext(builder.load(_place(context, builder, signature, arguments, 2), align=1), kind)
        if factor != types.uint8:
            product = builder.mul(product, _spread(builder, arguments[4], kind))
        builder.store(builder.add(builder.load(target, align=1), product), target, align=1)
        return context.get_dummy_value()

    return types.void(sums, types.intp, weights, types.intp, factor), generate


@intrinsic
def value(typing: Any, array: Any, at: Any) -> Any:
    """Value `at` of an array; numba's own indexing first asks whether `at` is negative."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.load(builder.gep(found.data, [arguments[1]]))

    return array.dtype(array, types.intp), generate


@intrinsic
def nonzero(typing: Any, array: Any, at: Any) -> Any:
    """Bit k tells whether value `at` + k is not 0, for `SCANNED` values."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = builder.load(_place(context, builder, signature, arguments, 0, SCANNED), align=1)
        there = builder.icmp_signed("!=", found, ir.Constant(found.type, None))
        return builder.bitcast(there, ir.IntType(SCANNED))

    return types.uint64(array, types.intp), generate


@intrinsic
def zeros(typing: Any, value: Any) -> Any:
    """Bit k tells whether lane k is 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = builder.icmp_signed("==", arguments[0], ir.Constant(_VECTOR, None))
        return builder.bitcast(found, ir.IntType(WIDTH))

    return types.uint16(value), generate


@intrinsic
def lowest(typing: Any, bits: Any) -> Any:
    """Number of the lowest bit that is set; one must be."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.intp(types.uint64), generate


@intrinsic
def total(typing: Any, value: Any) -> Any:
    """The sum of all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = _WORD(0)
        for i in range(WIDTH):
            found = builder.add(found, builder.extract_element(arguments[0], _WORD(i)))
        return builder.sext(found, ir.IntType(64))

    return types.int64(_lanes), generate


def _operation(name: str) -> Any:
    @intrinsic
    def apply(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, name)(*arguments)

        return a(a, b), generate

    def implementation(a: Any, b: Any) -> Any:
        if isinstance(a, _Lanes) and a == b:
            return lambda a, b: apply(a, b)
        return None

    return implementation


for _operator, _name in (
    (operator.add, "add"),
    (operator.sub, "sub"),
    (operator.mul, "mul"),
    (operator.lshift, "shl"),
    (operator.rshift, "ashr"),
    (operator.and_, "and_"),
    (operator.or_, "or_"),
):
    overload(_operator, strict=False)(_operation(_name))


def _spread(builder: Any, value: Any, kind: Any) -> Any:
    """A signed scalar in every lane of a vector type."""
    if value.type.width != kind.element.width:
        resize = builder.trunc if value.type.width > kind.element.width else builder.sext
        value = resize(value, kind.element)
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, value, _WORD(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(_WORD, kind.count), None))


def _place(context: Any, builder: Any, signature: Any, arguments: Any, i: int, count: int = WIDTH) -> Any:
    """Pointer to a vector in array argument `i`, from the value whose number is argument `i + 1` on."""
    array = context.make_array(signature.args[i])(context, builder, arguments[i])
    kind = ir.VectorType(context.get_data_type(signature.args[i].dtype), count)
    return builder.bitcast(builder.gep(array.data, [arguments[i + 1]]), kind.as_pointer())
