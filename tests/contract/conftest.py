"""Random networks for the contract: drawn once, run everywhere."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from snn_export.network import SpikingNetwork

SEED = int(os.environ.get("CONTRACT_SEED", random.randrange(2**32)))
LINES: list[str] = []
"""How many networks were compared, and how to draw the same ones again."""


def pytest_sessionfinish(session) -> None:
    """One of several processes hands its lines to the one that prints them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["contract"] = LINES


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node) -> None:
    """Take the lines of a process that has ended; one that crashed has none."""
    LINES.extend(getattr(node, "workeroutput", {}).get("contract", []))


def pytest_terminal_summary(terminalreporter) -> None:
    """Print the lines."""
    for line in LINES:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def report() -> Iterator[Callable[[str], None]]:
    """Add a line to the summary of the test run."""
    yield LINES.append
    LINES.append(f"the networks can be drawn again with CONTRACT_SEED={SEED}")  # each process has a seed of its own


@pytest.fixture(scope="session")
def draw_cases() -> Callable:
    """Draw so many different cases of a strategy that satisfy a condition; the same ones for one seed.

    A few more are drawn where what they have in common is not `enough` yet, up to four times as many.
    """

    def draw(strategy, count, accept=lambda network: True, enough=lambda found: True):
        found = []
        for turn in itertools.count():
            missing = count - len(found)
            if missing <= 0:
                if enough(found) or len(found) >= 4 * count:
                    return found
                missing = max(1, count // 4)

            @seed(SEED + turn)
            @settings(
                max_examples=missing, phases=(Phase.generate,), database=None, suppress_health_check=list(HealthCheck)
            )
            @given(case=strategy)
            def collect(case):
                if accept(case[0]):
                    found.append(case)

            collect()

    return draw


def join(cases: list) -> tuple[SpikingNetwork, dict[str, np.ndarray]]:
    """One network of the cases as separate streams; all have the same numbers of GOPs and steps."""
    ports, layers, arrays = [], [], {}
    for i, (network, inputs) in enumerate(cases):
        for port in network.inputs:
            ports.append(replace(port, name=f"{i}/{port.name}"))
            arrays[f"{i}/{port.name}"] = inputs[port.name]
        for layer in network.layers:
            connections = tuple(replace(c, source=f"{i}/{c.source}") for c in layer.connections)
            layers.append(replace(layer, name=f"{i}/{layer.name}", connections=connections))
    return SpikingNetwork(tuple(ports), tuple(layers), cases[0][0].arithmetic), arrays


@pytest.fixture(scope="session")
def batches() -> Callable:
    """Cases joined so many at a time: a start of Lava takes a second or more, whatever it runs."""

    def joined(cases, size) -> Iterator[tuple[int, SpikingNetwork, dict[str, np.ndarray]]]:
        for first in range(0, len(cases), size):
            part = cases[first : first + size]
            yield (len(part), *join(part))

    return joined
