"""Step times against closed forms worked out by hand on the three-core `line`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.chip import ChipError, load, names
from hwsim.costs import KINDS
from hwsim.engine import run
from hwsim.mapping.routing import Link
from hwsim.timing import depth, step_times

# Step 0 of `line`: cores 0, 1, 2 have 1, 2, 0 spikes, 1, 2, 0 packets out, 1, 2, 3 packets in,
# 1, 2, 5 synaptic operations (core 2 dense), 2 neurons each, of which 1, 2, 2 are active.
# Step 1 has no events; the two read-outs are active. Two tiles are mapped.


@pytest.fixture
def timing(line, line_mapping, line_input):
    def make(name):
        chip = load(name)
        mapping = line_mapping(chip)
        return step_times(chip, mapping, run(line, line_input, mapping).counts)

    return make


def test_fitted_loihi_follows_the_closed_form(timing):
    found = timing("loihi1-fitted")
    # core 1 sends: 2 accesses, 2 updates, 2 spikes, 2 packets
    send = 2 * 6.0 + 2 * 3.7 + 2 * 30.0 + 2 * 5.1
    # core 2 receives: 3 packets, 5 dense synaptic operations
    receive = 3 * 16.0 + 5 * 3.8
    assert send > receive
    idle = 2 * 6.0 + 2 * 3.7  # core 2 in step 1
    expected = [(send + 1000.0) * 1e-9, (idle + 1000.0) * 1e-9]
    assert found.step.nominal[0].tolist() == pytest.approx(expected, rel=1e-12)
    assert found.critical[0].tolist() == [1, 2]
    assert found.core.nominal[0, 0, 2] == pytest.approx(receive * 1e-9, rel=1e-12)
    assert found.total.nominal == pytest.approx(sum(expected), rel=1e-12)
    assert found.step.low.tolist() == found.step.high.tolist()


def test_published_loihi_keeps_low_nominal_and_high_apart(timing):
    found = timing("loihi1")
    # core 1 sends 2 x 5.3 + 2 x 3.1 + 2 x 2.1 = 21.0 ns; core 2 updates 2 x 8.4 = 16.8 ns and receives
    # 5 x 3.5 = 17.5 ns at most; two tiles have a barrier of 113, 289 or 465 ns
    for value, barrier in ((found.step.low, 113), (found.step.nominal, 289), (found.step.high, 465)):
        assert value[0].tolist() == pytest.approx([(21.0 + barrier) * 1e-9, (16.8 + barrier) * 1e-9], rel=1e-12)


def test_loihi_2_waits_for_the_busiest_core_or_link(timing):
    found = timing("loihi2")
    # core 1: 2 neurons x 4.2 + 2 packets x 2.1 = 12.6 ns at most, 2 x 2.65 + 2 x 0.21 = 5.72 ns at least;
    # its 2 packets go west twice, then north once: 2 x 6.5 = 13 ns, at least 2 x 0.65 = 1.3 ns
    assert found.step.high[0, 0] == pytest.approx((13.0 + 200) * 1e-9, rel=1e-12)
    assert found.step.nominal[0, 0] == pytest.approx((13.0 + 200) * 1e-9, rel=1e-12)
    assert found.step.low[0, 0] == pytest.approx(5.72e-9, rel=1e-12)
    assert found.links[found.critical_link[0, 0]] == Link(0, 1, "N")
    assert found.critical_link[0, 1] == -1  # no packets in step 1
    assert found.critical[0, 0] == 1


@given(data=st.data(), name=st.sampled_from(names()))
@settings(max_examples=30)
def test_steps_equal_a_plain_loop_over_cores_and_links(cases, mappings, data, name):
    chip = load(name)
    network, inputs = data.draw(cases())
    mapping = replace(data.draw(mappings(network)), chip=name, counts_active=chip.costs.prices_activity)
    counts = run(network, inputs, mapping).counts
    found = step_times(chip, mapping, counts)
    for edge in ("low", "nominal", "high"):

        def ns(constant, edge=edge):
            return getattr(getattr(chip.costs, f"time_{constant}").si, edge)

        for g, t in np.ndindex(*counts.input_events.shape):
            step = ns("phase") if chip.timing == "phase" else _slowest(ns, mapping, counts, g, t)
            if chip.timing == "barrier":
                step += getattr(chip.costs.sync_time(len(set(mapping.tiles))).si, edge)
            assert getattr(found.step, edge)[g, t] == pytest.approx(step, rel=1e-12)
    waits = found.critical_link >= 0
    assert np.array_equal(waits, found.link.nominal.max(2, initial=0) > found.core.nominal.max(2))


def _slowest(ns, mapping, counts, g, t):
    """The longest of all cores' sending and receiving, and of all links."""
    times = []
    for k in range(len(mapping.cores)):
        send = ns("neuron_update") * counts.neuron_updates[g, t, k] + ns("spike") * counts.spikes[g, t, k]
        send += ns("packet") * counts.packets_sent[g, t, k]
        if counts.active_updates is not None:
            send += ns("neuron_active") * counts.active_updates[g, t, k]
        receive = ns("packet_in") * counts.packets_received[g, t, k]
        receive += sum(ns(f"synapse_{kind}") * counts.synops_by_kind[g, t, k, i] for i, kind in enumerate(KINDS))
        times += [send, receive]
    for i, link in enumerate(counts.links):
        times.append(ns("hop_ew" if link.direction in ("E", "W") else "hop_ns") * counts.link_load[g, t, i])
    return max(times)


def test_tianjic_takes_one_phase_per_step_and_its_depth_more(timing, line):
    found = timing("tianjic")
    assert found.step.nominal[0].tolist() == pytest.approx([16.83e-6] * 2, rel=1e-12)
    assert depth(line) == 2
    assert found.gop(depth(line)).nominal.tolist() == pytest.approx([3 * 16.83e-6], rel=1e-12)


def test_truenorth_takes_one_tick_per_step_whatever_the_cores_do(timing):
    found = timing("truenorth")
    for step in (found.step.low, found.step.nominal, found.step.high):
        assert step[0].tolist() == pytest.approx([1e-3] * 2, rel=1e-12)


def test_the_barrier_grows_with_the_mapped_tiles():
    costs = load("loihi1-fitted").costs
    found = [costs.sync_time(tiles).nominal for tiles in (1, 2, 3, 4, 28, 29, 128)]
    assert found == [0.6, 1.0, 1.0, 1.4, 1.4, 1.8, 1.8]


@pytest.mark.parametrize("name", names())
def test_bands_of_times_are_ordered(timing, name):
    step = timing(name).step
    assert np.all(step.low <= step.nominal)
    assert np.all(step.nominal <= step.high)


def test_a_run_mapped_for_another_chip_is_refused(line, line_mapping, line_input):
    mapping = line_mapping(load("loihi2"))
    counts = run(line, line_input, mapping).counts
    with pytest.raises(ChipError, match="'loihi2', not for 'loihi1'"):
        step_times(load("loihi1"), mapping, counts)
