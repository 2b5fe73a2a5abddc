"""Counts against a walk over single events, written from their definitions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.chip import load
from hwsim.engine import run
from snn_export import reference
from snn_export.network import Conv2d, Dense, Sparse, SpikingNetwork, SumPool2d


def _synapses(network):
    """Every synapse: (source, index in it) to a list of (layer, index in it, weight)."""
    found = {}
    for layer in network.layers:
        for connection in layer.connections:
            source, synapse = network.shapes[connection.source], connection.synapse
            if isinstance(synapse, Dense):
                for o, i in np.ndindex(*synapse.weight.shape):
                    key = connection.source, np.unravel_index(i, source)
                    found.setdefault(key, []).append((layer.name, (o,), synapse.weight[o, i]))
                continue
            if isinstance(synapse, Sparse):
                for o, i, weight in zip(synapse.rows, synapse.columns, synapse.weight, strict=True):
                    key = connection.source, np.unravel_index(i, source)
                    found.setdefault(key, []).append((layer.name, (int(o),), weight))
                continue
            if isinstance(synapse, SumPool2d):
                synapse = Conv2d(
                    np.ones((source[0], 1, *synapse.kernel), np.int8), synapse.stride, synapse.padding, groups=source[0]
                )
            channels, per_group = synapse.weight.shape[0], synapse.weight.shape[1]
            for o, i, ky, kx in np.ndindex(*synapse.weight.shape):
                c = o // (channels // synapse.groups) * per_group + i
                for r, q in np.ndindex(*layer.shape[1:]):
                    y = r * synapse.stride[0] - synapse.padding[0] + ky * synapse.dilation[0]
                    x = q * synapse.stride[1] - synapse.padding[1] + kx * synapse.dilation[1]
                    if 0 <= y < source[1] and 0 <= x < source[2]:
                        target = layer.name, (o, r, q), synapse.weight[o, i, ky, kx]
                        found.setdefault((connection.source, (c, y, x)), []).append(target)
    return {(name, tuple(int(i) for i in place)): targets for (name, place), targets in found.items()}


def _core_of(mapping):
    def find(layer, place):
        place = (*place, 0, 0)[:3]
        (core,) = (
            c
            for c in mapping.cores
            if c.layer == layer and all(a <= i < b for i, (a, b) in zip(place, c.block, strict=True))
        )
        return core

    return find


def _walk(network, mapping, inputs, record):
    """All counts, event by event."""
    gops, steps = next(iter(inputs.values())).shape[:2]
    names = [
        "spikes",
        "synops",
        "macs",
        "synops_dense",
        "neuron_updates",
        "active_updates",
        "packets_sent",
        "packets_received",
        "hops_ew",
        "hops_ns",
    ]
    count = {name: np.zeros((gops, steps, len(mapping.cores)), int) for name in names}
    count["input_events"] = np.zeros((gops, steps), int)
    count["interchip_packets"] = np.zeros((gops, steps), int)
    links = {}
    core_of, synapses = _core_of(mapping), _synapses(network)
    where = {(x.name, p): core_of(x.name, p).id for x in network.layers for p in np.ndindex(*x.shape)}
    bits = {port.name: port.bits for port in network.inputs}
    values = dict(inputs) | dict(record.spikes)
    for targets in synapses.values():
        for layer, place, _ in targets:
            count["synops_dense"][:, :, where[layer, place]] += 1
    for g, t in np.ndindex(gops, steps):
        got_event = set()
        for (name, place), targets in synapses.items():
            if not values[name][g, t][place]:
                continue
            reached = set()
            for layer, target, weight in targets:
                if weight:
                    core = where[layer, target]
                    reached.add(core)
                    got_event.add((layer, target))
                    count["synops"][g, t, core] += 1
                    count["macs"][g, t, core] += bits.get(name, 1) > 1
            for core in reached:
                count["packets_received"][g, t, core] += 1
                if name not in bits:
                    own, other = mapping.cores[where[name, place]], mapping.cores[core]
                    x, to_x = (c.chip * mapping.tiles_x + c.x for c in (own, other))
                    count["packets_sent"][g, t, own.id] += 1
                    count["hops_ew"][g, t, own.id] += abs(x - to_x)
                    count["hops_ns"][g, t, own.id] += abs(own.y - other.y)
                    count["interchip_packets"][g, t] += own.chip != other.chip
                    for step in range(abs(x - to_x)):
                        key = (x + step, own.y, "E") if to_x > x else (x - step, own.y, "W")
                        links[g, t, key] = links.get((g, t, key), 0) + 1
                    for step in range(abs(own.y - other.y)):
                        key = (to_x, own.y + step, "S") if other.y > own.y else (to_x, own.y - step, "N")
                        links[g, t, key] = links.get((g, t, key), 0) + 1
        count["input_events"][g, t] = sum(np.count_nonzero(x[g, t]) for x in inputs.values())
        for (name, place), core in where.items():
            neuron = network.layer(name).neuron
            count["neuron_updates"][g, t, core] += 1
            count["spikes"][g, t, core] += record.spikes[name][g, t][place]
            bias = neuron.bias[place[0] if len(neuron.bias) > 1 else 0]
            kept = t > 0 and not (neuron.reset_interval and t % neuron.reset_interval == 0)
            state = kept and record.potentials[name][g, t - 1][place] != 0
            active = bool(bias or state or (name, place) in got_event)
            count["active_updates"][g, t, core] += active
    return count, links


@given(data=st.data())
@settings(max_examples=60)
def test_counts_equal_a_walk_over_single_events(cases, mappings, data):
    network, inputs = data.draw(cases(current=False))
    mapping = data.draw(mappings(network))
    expected, links = _walk(network, mapping, inputs, reference.run(network, inputs))
    counts = run(network, inputs, mapping).counts
    if not mapping.counts_active:
        assert counts.active_updates is None
        del expected["active_updates"]
    for name, value in expected.items():
        assert np.array_equal(getattr(counts, name), value), name
    got = {
        (g, t, (link.x, link.y, link.direction)): int(counts.link_load[g, t, i])
        for i, link in enumerate(counts.links)
        for g, t in np.ndindex(*counts.link_load.shape[:2])
        if counts.link_load[g, t, i]
    }
    assert got == links


def test_a_neuron_with_current_but_no_potential_is_active(line, line_mapping):
    conv = replace(line.layers[0], neuron=replace(line.layers[0].neuron, ukeep=4096))
    network = SpikingNetwork(line.inputs, (conv, line.layers[1]))
    inputs = {"in": np.zeros((1, 3, 1, 2, 2), np.int8)}
    inputs["in"][0, 0, 0, 0, 0] = 1
    counts = run(network, inputs, line_mapping(load("loihi1-fitted"))).counts
    assert counts.active_updates[0, :, 0].tolist() == [1, 1, 1]  # the current lasts, the potential is reset


def test_counts_of_a_hand_made_network(line, line_mapping, line_input):
    counts = run(line, line_input, line_mapping(load("loihi1"))).counts
    # step 0: neurons 0 (core 0), 2 and 3 (core 1) fire; neuron 0 has 2 nonzero weights, 2 has 2, 3 has 1
    assert counts.spikes[0].tolist() == [[1, 2, 0], [0, 0, 0]]
    assert counts.synops[0].tolist() == [[1, 2, 5], [0, 0, 0]]
    assert counts.macs.sum() == 0
    assert counts.acs.sum() == 8
    assert counts.synops_dense[0, 0].tolist() == [2, 2, 8]
    assert counts.packets_sent[0, 0].tolist() == [1, 2, 0]
    assert counts.packets_received[0, 0].tolist() == [1, 2, 3]
    assert counts.hops_ew[0, 0].tolist() == [0, 4, 0]  # two packets, two tiles west
    assert counts.hops_ns[0, 0].tolist() == [0, 2, 0]
    assert counts.hops.sum() == 6
    assert counts.input_events[0].tolist() == [3, 0]
    # core 2: both read-outs hear neuron 0; in step 1 they hold a potential, the others rest at 0
    assert counts.active_updates[0].tolist() == [[1, 2, 2], [0, 0, 2]]
