"""Run a network exactly on a CPU: layer by layer over some steps at a time, in threads over GOPs and rows.

A layer needs only what the layers before it gave in the same step, so that it can go through many steps at once:
its state stays in the cache, and Python is called once per layer instead of once per step. Every connection is
computed event by event, by a table of combinations of spikes, or all at once, whichever is fastest.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingType

import numpy as np

from hwsim.engine.classes import classes_of
from hwsim.engine.connection import Values
from hwsim.engine.counter import Counter
from hwsim.engine.events import padded
from hwsim.engine.kernels import Tally, to_rows
from hwsim.engine.population import Population, Totals
from hwsim.engine.result import Record, Result
from hwsim.engine.tallies import count_events
from hwsim.engine.threads import in_threads
from hwsim.mapping.geometry import shape3
from snn_export.network import InputPort, IntArray, Recording, SpikingNetwork

_CHUNK_VALUES = 2**22
"""Values of the largest layer over the steps that it goes through at once: threads wait for each other after them."""

_LINE = 64
"""Bytes of a line of a cache."""


class CpuExecutor:
    """A network made ready to run many times.

    Args:
        network: the graph to run.
        counter: given, runs are counted.
        counts_active: count active neurons as well.
    """

    def __init__(self, network: SpikingNetwork, counter: Counter | None, counts_active: bool) -> None:
        self._network, self._counter = network, counter
        self._fans = counter.fanouts if counter else {}
        self._populations = [Population(network, x, self._fans.get(x.name), counts_active) for x in network.layers]
        shapes = ((port.name, shape3(port.shape)) for port in network.inputs if self._fans)
        self._entering = {name: classes_of(self._fans[name], shape, 0, shape[1]) for name, shape in shapes}
        self._largest = max(int(np.prod(layer.shape)) for layer in network.layers)

    def run(self, inputs: MappingType[str, IntArray], record: Record) -> Result:
        """Run every GOP from zero state, inputs being integers [G, T, *shape] by port."""
        gops, steps = next(iter(inputs.values())).shape[:2]
        tape = _Tape(self._network, gops, steps, record)
        fired = self._counter.zeros(gops, steps) if self._counter else {}
        active = {x.layer.name: np.zeros_like(fired[x.layer.name]) for x in self._populations if x.counts_active}
        states = [population.state(gops) for population in self._populations]
        clipped, wrapped = ({x.name: 0 for x in self._network.layers} for _ in range(2))
        chunk = max(1, _CHUNK_VALUES // self._largest)
        with in_threads() as each:
            for start in range(0, steps, chunk):
                span = slice(start, min(start + chunk, steps))
                found = {x.name: self._enter(x, inputs[x.name][:, span], fired, span) for x in self._network.inputs}
                for population, state in zip(self._populations, states, strict=True):
                    name = population.layer.name
                    spikes, trace = tape.spikes(name, span), tape.trace(name, span)
                    totals = Totals(*(x[name][:, span] if name in x else None for x in (fired, active)))
                    done = population.advance(found, state, spikes, trace, totals, start, each)
                    found[name] = Values(spikes, done.fired)
                    clipped[name] += done.clipped
                    wrapped[name] += done.wrapped
        counts = self._counter.count(fired, active or None) if self._counter else None
        return Result(tape.recording(clipped), counts, wrapped)

    def _enter(self, port: InputPort, values: IntArray, fired: MappingType[str, IntArray], span: slice) -> Values:
        """Values of some steps, [G, steps, *shape], as int16 [G, steps, rows, row]: channels last, rows filled up.

        What is not 0 is added to the counts of the port by atom, where it has some.
        """
        (gops, steps), shape = values.shape[:2], shape3(port.shape)
        rows = np.zeros((gops, steps, shape[1], padded(shape)), np.int16)
        for own, found in zip(values.reshape(gops, steps, *shape), rows, strict=True):
            to_rows(np.ascontiguousarray(own, np.int16), found)
        if port.name in self._entering:
            classes = self._entering[port.name]
            tally = Tally(classes.zeros(steps), classes.zeros(0), classes.row_class)
            for own, total in zip(rows, fired[port.name][:, span], strict=True):
                count_events(own, tally)
                classes.take(tally.fired, total)
        return Values(rows, int(np.count_nonzero(rows)))


class _Tape:
    """Where kernels write spikes and potentials: rows of the recording itself, or rows for one span only."""

    def __init__(self, network: SpikingNetwork, gops: int, steps: int, record: Record) -> None:
        self._network, self._gops = network, gops
        kept = [x.name for x in network.layers if record == "all" or x.neuron.readout]
        forms = {x.name: self._form(x.name, steps) for x in network.layers}
        self._potentials = {name: _aligned(forms[name]) for name in kept}
        self._spikes = {name: np.empty(forms[name], np.uint8) for name in kept if record == "all"}

    def spikes(self, name: str, span: slice) -> IntArray:
        """For the spikes of a layer in some steps, uint8 [G, steps, rows, row]."""
        if name in self._spikes:
            return self._spikes[name][:, span]
        return np.empty(self._form(name, span.stop - span.start), np.uint8)

    def trace(self, name: str, span: slice) -> IntArray:
        """For the potentials after every step, int32 in the same form; of size 0 where nobody wants them."""
        if name in self._potentials:
            return self._potentials[name][:, span]
        return np.empty((self._gops, 0, 0, 0), np.int32)

    def recording(self, saturations: MappingType[str, int]) -> Recording:
        """What was written, as views [G, T, *shape]: nothing is copied."""
        spikes, potentials = ({n: self._places(n, x) for n, x in y.items()} for y in (self._spikes, self._potentials))
        return Recording(spikes, potentials, saturations)

    def _form(self, name: str, steps: int) -> tuple[int, int, int, int]:
        shape = shape3(self._network.shapes[name])
        return self._gops, steps, shape[1], padded(shape)

    def _places(self, name: str, rows: IntArray) -> IntArray:
        shape = self._network.shapes[name]
        channels, _, width = shape3(shape)
        places = rows[..., : width * channels].reshape(*rows.shape[:3], width, channels).transpose(0, 1, 4, 2, 3)
        return places if len(shape) == 3 else places[..., 0, 0]


def _aligned(shape: tuple[int, ...]) -> IntArray:
    """Int32 that is not set, from a multiple of 64 bytes on, as `lanes.stream` wants it."""
    size = 4 * int(np.prod(shape))
    raw = np.empty(size + _LINE, np.uint8)
    begin = -raw.ctypes.data % _LINE
    return raw[begin : begin + size].view(np.int32).reshape(shape)
