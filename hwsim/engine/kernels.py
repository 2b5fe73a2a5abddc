"""The inner loops of the engine on a CPU: events into sums, sums into potentials and spikes.

Populations lie row by row, channels last, each row padded with zeros to whole vectors: arrays [steps, rows, row].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit as _njit

from hwsim.engine.lanes import (
    SCANNED,
    WIDTH,
    add_products,
    add_shorts,
    differs,
    exceeds,
    fill,
    larger,
    load,
    load_shorts,
    lowest,
    nonzero,
    smaller,
    store,
    stream,
    total,
    unless,
    value,
    zeros,
)
from snn_export.network import DECAY_BITS, STATE_LIMIT, STATE_SHIFT, IntArray

CURRENT_LIMIT = 2**23
"""A synaptic current of 24 bits lies from minus this value to one below it; past them a chip's adder wraps."""
KEEP, ZERO, SOFT = range(3)
"""What a spike does to the potential."""
COMBINED = 8
"""Neighbouring channels whose spikes are looked up together."""
TAPS = 3
"""Columns of a kernel that `look_up` knows."""
_FRACTION = 2**DECAY_BITS - 1

Kernel = Callable[..., Any]
njit: Callable[[Kernel], Kernel] = _njit(cache=True, nogil=True, error_model="numpy")


class Fan(NamedTuple):
    """Where the events of a convolution or matrix go; a run of weights goes to neighbouring sums.

    Attributes:
        weights: int8, flat; every run is filled up with zeros to a multiple of `WIDTH`.
        weight_at: first weight of each place of a row [row].
        sum_at: first sum that each place reaches, within a row of sums [row].
        rows: for each row of values, offsets into weights and sums of each run it takes [rows, most, 2].
        row_count: how many those are [rows].
        run: weights in a run, a multiple of `WIDTH`.
    """

    weights: IntArray
    weight_at: IntArray
    sum_at: IntArray
    rows: IntArray
    row_count: IntArray
    run: int


class Table(NamedTuple):
    """Sums of the weights of neighbouring channels for every combination of their spikes, of a convolution.

    Attributes:
        sums: int16, flat [channels / COMBINED, 2^COMBINED, kernel rows, TAPS, channels that come out].
        first: first sum of the channels that each byte of a row of spike bits stands for [row / COMBINED].
        rows: for each row of values, offsets into the table and the sums of each kernel row [rows, most, 2].
        row_count: how many those are [rows].
        columns: places in a row.
        size: sums of one combination.
        out: channels that come out, a multiple of `WIDTH`.
        begin: first sum that the first place reaches, within a row of sums.
    """

    sums: IntArray
    first: IntArray
    rows: IntArray
    row_count: IntArray
    columns: int
    size: int
    out: int
    begin: int


class Block(NamedTuple):
    """Sums of some rows of a population over some steps, all 0 between two uses but for the margins.

    Attributes:
        sums: flat, int16 or int32.
        stride: sums from one row to the next.
        margin: sums before the first place of a row, where padding would be.
        first: first row of the population.
        last: one past the last.
    """

    sums: IntArray
    stride: int
    margin: int
    first: int
    last: int


class State(NamedTuple):
    """A population of one GOP.

    Attributes:
        v: potentials, int32 [rows, row].
        u: synaptic currents, int64 [rows, row]; empty without current memory.
        spikes: uint8 [steps, rows, row].
        trace: potentials after each step, int32 [steps, rows, row]; empty where nobody asks.
        clears: steps before which the state returns to 0, uint8 [steps].
    """

    v: IntArray
    u: IntArray
    spikes: IntArray
    trace: IntArray
    clears: IntArray


class Tally(NamedTuple):
    """Counts by class of rows, int16 [steps, classes, row]; empty where nobody asks.

    Attributes:
        fired: spikes.
        active: neurons with state, bias or an event.
        row_class: class of each row [rows].
    """

    fired: IntArray
    active: IntArray
    row_class: IntArray


@njit
def scatter(fan: Fan, values: IntArray, block: Block) -> None:
    """Add every event's weights to the sums it reaches."""
    steps, height, padded = values.shape
    flat, sums, weights = values.reshape(-1), block.sums, fan.weights
    weight_at, sum_at, row_count, rows, run = fan.weight_at, fan.sum_at, fan.row_count, fan.rows.reshape(-1), fan.run
    span, most = (block.last - block.first) * block.stride, fan.rows.shape[1]
    for t in range(steps):
        for y in range(height):
            begin, count = (t * height + y) * padded, value(row_count, y)
            if count == 0:
                continue
            for group in range(0, padded, SCANNED):
                bits = nonzero(flat, begin + group)
                while bits:
                    place = group + lowest(bits)
                    bits &= bits - np.uint64(1)
                    factor = value(flat, begin + place)
                    weight, target = value(weight_at, place), value(sum_at, place) + t * span
                    for r in range(2 * most * y, 2 * (most * y + count), 2):
                        at, to = weight + value(rows, r), target + value(rows, r + 1)
                        for k in range(0, run, WIDTH):
                            add_products(sums, to + k, weights, at + k, factor)


@njit
def scatter_list(starts: IntArray, targets: IntArray, weights: IntArray, values: IntArray, block: Block) -> None:
    """As `scatter`, with the synapses of each place listed from `starts` [rows x row + 1] on."""
    steps, height, padded = values.shape
    sums, span = block.sums, (block.last - block.first) * block.stride
    for t in range(steps):
        for y in range(height):
            for place in range(padded):
                factor = np.int64(values[t, y, place])
                if factor == 0:
                    continue
                for i in range(starts[y * padded + place], starts[y * padded + place + 1]):
                    sums[t * span + targets[i]] += factor * weights[i]


@cache
def look_up(groups: int) -> Kernel:
    """As `scatter`, all spikes of a place and kernel row at once: one sum of weights for every `COMBINED` channels.

    The three places that a kernel row reaches stay in registers while it moves along.

    Args:
        groups: how many sums of weights a place has, which the kernel adds without a loop.

    Returns:
        The kernel: from a `Table` and spikes [steps, rows, row] to a `Block`.
    """

    @njit
    def add(table: Table, spikes: IntArray, block: Block) -> None:
        steps, height, padded = spikes.shape
        flat, sums, entries, first = spikes.reshape(-1), block.sums, table.sums, table.first
        span, most, rows = (block.last - block.first) * block.stride, table.rows.shape[1], table.rows.reshape(-1)
        out, size, each = table.out, table.size, SCANNED // COMBINED
        offsets, nothing = np.empty(first.size, np.int64), fill(np.int16(0))
        for t in range(steps):
            for y in range(height):
                begin, count, some = (t * height + y) * padded, value(table.row_count, y), np.uint64(0)
                if count == 0:
                    continue
                for i in range(padded // SCANNED):
                    bits = nonzero(flat, begin + i * SCANNED)
                    some |= bits
                    for j in range(each):
                        combination = np.int64((bits >> np.uint64(j * COMBINED)) & np.uint64(2**COMBINED - 1))
                        offsets[i * each + j] = first[i * each + j] + combination * size
                if some == 0:
                    continue
                for r in range(2 * most * y, 2 * (most * y + count), 2):
                    for k in range(0, out, WIDTH):
                        at, to = value(rows, r) + k, value(rows, r + 1) + t * span + table.begin + k
                        here = beside = nothing
                        for x in range(table.columns):
                            last = nothing
                            for i in range(groups):
                                entry = value(offsets, x * groups + i) + at
                                here = here + load_shorts(entries, entry)
                                beside = beside + load_shorts(entries, entry + out)
                                last = last + load_shorts(entries, entry + 2 * out)
                            add_shorts(sums, to, here)
                            here, beside, to = beside, last, to + out
                        add_shorts(sums, to, here)
                        add_shorts(sums, to + out, beside)

    return add


@njit
def add_sums(dense: IntArray, block: Block) -> None:
    """Add sums that were made whole, float32 [steps, rows, values], to the rows of a block."""
    steps, _, values = dense.shape
    for t in range(steps):
        for y in range(block.first, block.last):
            begin = ((block.last - block.first) * t + y - block.first) * block.stride + block.margin
            for k in range(values):
                block.sums[begin + k] += np.int64(dense[t, y, k])


def _neurons(reset: int, bounded: bool) -> Kernel:
    """Lines 3 to 5 of the contract without current memory, for the rows of a block, as a kernel of its own.

    The decay ``sign(v) * ((|v| * keep) >> 12)`` needs 35 bits. With v = 4096 h + l (h floored, 0 <= l < 4096) it
    is ``h * keep + ((l * keep) >> 12)`` for v >= 0, and the same with 4095 added to the product for v < 0, which
    turns the floor into a truncation toward zero. Every term is below 2^24.

    Args:
        reset: what a spike does.
        bounded: no potential can reach the clip.
    """

    @njit
    def neurons(block: Block, state: State, constants: IntArray, tally: Tally, quiet: IntArray) -> tuple[int, int]:
        steps, height, padded = state.spikes.shape
        v, written, trace = state.v.reshape(-1), state.spikes.reshape(-1), state.trace.reshape(-1)
        fired, active, flat = tally.fired.reshape(-1), tally.active.reshape(-1), constants.reshape(-1)
        zero, one, fraction, sign = fill(np.int32(0)), fill(np.int32(1)), fill(np.int32(_FRACTION)), fill(np.int32(31))
        digits, shift = fill(np.int32(DECAY_BITS)), fill(np.int32(STATE_SHIFT))
        high, low = fill(np.int32(STATE_LIMIT)), fill(np.int32(-STATE_LIMIT))
        still, classes, clipped, spikes = quiet.reshape(-1).view(np.uint16), tally.fired.shape[1], zero, zero
        for t in range(steps):
            if state.clears[t]:
                state.v[block.first : block.last] = 0
            for y in range(block.first, block.last):
                begin = ((block.last - block.first) * t + y - block.first) * block.stride + block.margin
                here, there, count = y * padded, (t * height + y) * padded, (t * classes + tally.row_class[y]) * padded
                of_row = ((block.last - block.first) * t + y - block.first) * (padded // WIDTH)
                for k in range(0, padded, WIDTH):
                    x, bias, real = load(v, here + k), load(flat, 2 * padded + k), load(flat, 3 * padded + k)
                    a = load(block.sums, begin + k) & real
                    if active.size:
                        moved = x | bias | a
                        still[of_row + k // WIDTH] = zeros(moved)
                        store(active, count + k, load(active, count + k) + (differs(moved, zero) & one))
                    keep, threshold = load(flat, k), load(flat, padded + k)
                    part = (x & fraction) * keep + ((x >> sign) & fraction)
                    x = (x >> digits) * keep + (part >> digits) + (a << shift) + bias
                    store(block.sums, begin + k, zero)
                    if not bounded:
                        inside = larger(smaller(x, high), low)
                        clipped = clipped - differs(x, inside)
                        x = inside
                    spike = exceeds(x, threshold)
                    if reset == ZERO:
                        x = unless(spike, x)
                    elif reset == SOFT:
                        x = x - (threshold & spike)
                    spike = spike & one
                    spikes = spikes + spike
                    if fired.size:
                        store(fired, count + k, load(fired, count + k) + spike)
                    store(v, here + k, x)
                    store(written, there + k, spike)
                    if trace.size:
                        stream(trace, there + k, x)
        return total(clipped), total(spikes)

    return neurons


NEURONS = {(reset, bounded): _neurons(reset, bounded) for reset in (KEEP, ZERO, SOFT) for bounded in (False, True)}
"""By what a spike does to the potential and whether no potential can reach the clip: a kernel that goes through steps.

It takes the sums (left at 0), the state of the whole population, constants int32 [4, row] (keep, threshold, bias, and
-1 but for padding, where it is 0), where to count, and where to write which neurons are not known to be active, one bit
each, uint64 [steps, rows, words] (of size 0 where nobody counts them). It gives how many potentials were clipped, and
how many neurons fired.
"""


@njit
def current_neurons(
    block: Block, state: State, constants: IntArray, ukeep: int, reset: int, tally: Tally, quiet: IntArray
) -> tuple[int, int, int]:
    """Lines 2 to 5 with current memory: u is not clipped by the contract, so that all is int64.

    Returns:
        How many potentials were clipped, how many neurons fired, and how many currents left 24 bits.
    """
    steps, _, padded = state.spikes.shape
    clipped = wrapped = spikes = 0
    for t in range(steps):
        for y in range(block.first, block.last):
            begin = ((block.last - block.first) * t + y - block.first) * block.stride + block.margin
            row = tally.row_class[y]
            for k in range(padded):
                keep, threshold, bias = constants[0, k], constants[1, k], constants[2, k]
                if constants[3, k] == 0:  # padding
                    state.spikes[t, y, k] = 0
                    continue
                u, v = state.u[y, k], np.int64(state.v[y, k])
                if state.clears[t]:
                    u = v = np.int64(0)
                if tally.active.size:
                    moved = u != 0 or v != 0 or bias != 0 or block.sums[begin + k] != 0
                    tally.active[t, row, k] += moved
                    word, bit = k // SCANNED, np.uint64(1) << np.uint64(k % SCANNED)
                    if moved:
                        quiet[t, y - block.first, word] &= ~bit
                    else:
                        quiet[t, y - block.first, word] |= bit
                u = _decayed(u, ukeep) + (np.int64(block.sums[begin + k]) << STATE_SHIFT)
                block.sums[begin + k] = 0
                wrapped += u < -CURRENT_LIMIT or u >= CURRENT_LIMIT
                v = _decayed(v, keep) + u + bias
                clipped += abs(v) > STATE_LIMIT
                v = np.int64(min(max(v, -STATE_LIMIT), STATE_LIMIT))
                spike = v > threshold
                if spike:
                    spikes += 1
                    v = np.int64(0) if reset == ZERO else v - threshold if reset == SOFT else v
                    if tally.fired.size:
                        tally.fired[t, row, k] += 1
                state.u[y, k], state.v[y, k], state.spikes[t, y, k] = u, v, spike
                if state.trace.size:
                    state.trace[t, y, k] = v
    return clipped, spikes, wrapped


@njit
def _decayed(x: int, keep: int) -> int:
    return (abs(x) * keep >> DECAY_BITS) * (1 if x > 0 else -1)


@njit
def to_rows(values: IntArray, rows: IntArray) -> None:
    """Copy values [steps, channels, height, width] to rows [steps, height, row], channels last."""
    steps, channels, height, width = values.shape
    for t in range(steps):
        for y in range(height):
            for c in range(channels):
                for x in range(width):
                    rows[t, y, x * channels + c] = values[t, c, y, x]
