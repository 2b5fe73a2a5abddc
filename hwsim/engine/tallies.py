"""The inner loops of counting on a CPU: events by class, active neurons, and counts by atom into counts of cores.

Rows lie in memory as in `kernels`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hwsim.engine.kernels import Tally, njit
from hwsim.engine.lanes import SCANNED, WIDTH, differs, fill, load, lowest, nonzero, store, value
from snn_export.network import IntArray


class Field(NamedTuple):
    """The values that neurons of a convolution see: those of a row of its window are bits of some words.

    Attributes:
        masks: weights that are not 0, uint64 [out channels, kernel rows, words].
        span: all values of a row of the window, uint64 [words].
        rows: row of values of each row of neurons and of the kernel, or -1 for padding [rows, kernel rows].
        lead: words of padding before a row of values.
        begin: first bit that the first column of neurons sees.
        step: bits from a column of neurons to the next.
        width: words of a row of values with all padding.
        values: neurons of a row.
    """

    masks: IntArray
    span: IntArray
    rows: IntArray
    lead: int
    begin: int
    step: int
    width: int
    values: int


@njit
def count_events(values: IntArray, tally: Tally) -> None:
    """Count what is not 0, by class of rows, into `tally.fired`."""
    steps, height, padded = values.shape
    flat, fired, classes = values.reshape(-1), tally.fired.reshape(-1), tally.fired.shape[1]
    zero, one = fill(np.int32(0)), fill(np.int32(1))
    for t in range(steps):
        for y in range(height):
            here, count = (t * height + y) * padded, (t * classes + tally.row_class[y]) * padded
            for k in range(0, padded, WIDTH):
                event = differs(load(flat, here + k), zero) & one
                store(fired, count + k, load(fired, count + k) + event)


@njit
def settle(field: Field, values: IntArray, quiet: IntArray, first: int, tally: Tally) -> None:
    """Count neurons as active that `kernels.NEURONS` left open, and that an event reached: its sum with others was 0.

    Args:
        field: what the neurons see.
        values: where the events are [steps, rows, row].
        quiet: neurons that are open, uint64 [steps, rows from `first` on, words]; what is counted is taken out.
        first: first row of neurons.
        tally: where to count.
    """
    steps, height, padded = values.shape
    (out, kernel, words), flat, source = field.masks.shape, values.reshape(-1), padded // SCANNED
    lines = np.zeros((kernel + 1, field.width), np.uint64)  # events by kernel row, and of any of them
    for t in range(steps):
        for y in range(first, first + quiet.shape[1]):
            left = quiet[t, y - first]
            some = np.uint64(0)
            for w in range(left.size):
                some |= left[w]
            if some == 0:
                continue
            some = np.uint64(0)
            lines[kernel] = 0
            for i in range(kernel):
                row = field.rows[y, i]
                for w in range(source):
                    bits = np.uint64(0)
                    if row >= 0:
                        bits = nonzero(flat, (t * height + row) * padded + w * SCANNED)
                    lines[i, field.lead + w] = bits
                    lines[kernel, field.lead + w] |= bits
                    some |= bits
            if some == 0:
                continue
            end, begin, seen = 0, 0, False  # of the place that is looked at, and whether it sees an event
            for w in range(left.size):
                bits = left[w]
                while bits:
                    k = w * SCANNED + lowest(bits)
                    if k >= field.values:
                        break
                    if k >= end:
                        x = k // out
                        end, begin, seen = (x + 1) * out, field.begin + x * field.step, False
                        for j in range(words):
                            seen = seen or (_window(lines, kernel, begin, j) & field.span[j]) != 0
                    if not seen:  # none of the place's neurons is active
                        over = np.uint64(min(end - w * SCANNED, SCANNED - 1))
                        bits = (bits >> over) << over if end - w * SCANNED < SCANNED else np.uint64(0)
                        continue
                    bit = bits & (~bits + np.uint64(1))
                    bits ^= bit
                    reached = np.uint64(0)
                    for i in range(kernel):
                        for j in range(words):
                            reached |= _window(lines, i, begin, j) & field.masks[k - end + out, i, j]
                    if reached:
                        tally.active[t, tally.row_class[y], k] += 1
                        left[w] &= ~bit


@njit
def _window(lines: IntArray, line: int, begin: int, word: int) -> Any:
    """Word of a window that begins at a bit of a line."""
    at, shift = begin // SCANNED + word, np.uint64(begin % SCANNED)
    return (lines[line, at] >> shift) | ((lines[line, at + 1] << (np.uint64(SCANNED - 1) - shift)) << np.uint64(1))


@njit
def settle_list(
    starts: IntArray, places: IntArray, values: IntArray, quiet: IntArray, first: int, tally: Tally
) -> None:
    """As `settle`, for one row of neurons whose synapses lie from `starts` [neurons + 1] on, each with its place."""
    flat, size = values.reshape(-1), values[0].size
    for t in range(len(values)):
        for k in range(starts.size - 1):
            word, bit = k // SCANNED, np.uint64(1) << np.uint64(k % SCANNED)
            if not quiet[t, 0, word] & bit:
                continue
            for i in range(starts[k], starts[k + 1]):
                if flat[t * size + places[i]] != 0:
                    tally.active[t, tally.row_class[first], k] += 1
                    quiet[t, 0, word] &= ~bit
                    break


@njit
def take_classes(counts: IntArray, columns: IntArray, channels: int, present: IntArray, found: IntArray) -> None:
    """Add counts [steps, row classes, row] by class of column to `found` [steps, all row classes, values of a class].

    Args:
        counts: what was counted; left at 0.
        columns: class of each column.
        channels: neighbouring counts that belong to a column.
        present: number of each class of rows among all of them.
        found: where to add, a class of columns having `channels` values.
    """
    steps, rows, padded = counts.shape
    flat, out, whole = counts.reshape(-1), found.reshape(-1), channels - channels % WIDTH
    zero = fill(np.int32(0))
    for t in range(steps):
        for r in range(rows):
            begin, to = (t * rows + r) * padded, (t * found.shape[1] + value(present, r)) * found.shape[2]
            for x in range(columns.size):
                a, b = begin + x * channels, to + value(columns, x) * channels
                for k in range(0, whole, WIDTH):
                    store(out, b + k, load(out, b + k) + load(flat, a + k))
                    store(flat, a + k, zero)
                for k in range(whole, channels):
                    out[b + k] += flat[a + k]
                    flat[a + k] = 0


@njit
def multiply(starts: IntArray, columns: IntArray, values: IntArray, counts: IntArray, found: IntArray) -> None:
    """Write the product of a sparse matrix in compressed rows and counts [columns, n] to `found`, int32 [rows, n].

    Values and counts are integers of 16 or 32 bits; n is a multiple of `WIDTH`.
    """
    flat, out, n = counts.reshape(-1), found.reshape(-1), counts.shape[1]
    for row in range(starts.size - 1):
        for k in range(0, n, WIDTH):
            total = fill(np.int32(0))
            for i in range(value(starts, row), value(starts, row + 1)):
                total = total + load(flat, np.int64(value(columns, i)) * n + k) * fill(np.int32(value(values, i)))
            store(out, row * n + k, total)


@njit
def transpose(counts: IntArray, found: IntArray) -> None:
    """Write counts [n, columns] to `found` [columns, n or more], and 0 to the rest of it."""
    n, columns = counts.shape
    flat, out, every = counts.reshape(-1), found.reshape(-1), found.shape[1]
    for k in range(columns):
        at, to = k, np.uint64(k * every)  # of an unsigned number nobody asks whether it counts from the end
        for i in range(n):
            out[to + np.uint64(i)] = value(flat, at)
            at += columns
        for i in range(n, every):
            out[to + np.uint64(i)] = 0
