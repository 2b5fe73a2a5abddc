"""Damaged inputs: bytes, text and values changed at random, in ways that reach past the first check."""

from __future__ import annotations

import copy
import resource
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

NASTY: tuple[Any, ...] = (
    None, True, -1, 0, 1, 3, 2**31, 2**63, 10**30, 1e308, -0.5, "", "..", "../../etc/passwd", "/etc/passwd", "\0",
    "x" * 9999, [], {}, [[]], [0] * 999, {"a": {}}, "nan", 256, 65536,
)  # fmt: skip
STORED: tuple[Any, ...] = (
    *map(np.array, (-1, 0, 2**40, 0.5, np.nan, -np.inf, 1e308)), "", "..", "Conv2d", {}, np.zeros(0), np.zeros((0, 3)),
    np.ones((1, 1, 1, 1)), np.full(3, 10**9), np.full((2, 2), np.nan), np.ones((3, 1), np.uint8), np.zeros(9999),
)  # fmt: skip
"""What an HDF5 file can hold."""
TOKENS = (
    b"-1", b"0", b"1e999", b"nan", b"99999999999999999999", b'""', b"..", b"/", b"[", b"}", b"\0", b"\xff", b"\n", b",",
)  # fmt: skip
LIMIT_S, LIMIT_MB = 5.0, 400
"""What one input may take: a hang or a bomb of sizes takes more."""


def _bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Some pieces flipped, cut, doubled or replaced."""
    found = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at, size = int(rng.integers(0, len(found) + 1)), int(rng.integers(1, 12))
        match int(rng.integers(0, 6)):
            case 0:
                del found[at : at + size]
            case 1:
                found[at:at] = found[at : at + size]
            case 2:
                found[at : at + size] = TOKENS[int(rng.integers(len(TOKENS)))]
            case 3:
                found[at : at + 1] = bytes([int(rng.integers(256))])
            case 4:
                found[at:at] = TOKENS[int(rng.integers(len(TOKENS)))]
            case 5 if rng.random() < 0.2:
                del found[at:]
    return bytes(found)


def _values(tree: Any, rng: np.random.Generator, choice: Sequence[Any]) -> Any:
    """A copy of nested dictionaries and lists with one or two values replaced, dropped or put elsewhere."""
    found = copy.deepcopy(tree)
    for _ in range(int(rng.integers(1, 3))):
        node, key, here = None, None, found
        while isinstance(here, dict | list) and here and (node is None or rng.random() < 0.85):
            keys = list(here) if isinstance(here, dict) else range(len(here))
            node, key = here, keys[int(rng.integers(len(keys)))]
            here = here[key]
        if node is None:
            return copy.deepcopy(choice[int(rng.integers(len(choice)))])
        match int(rng.integers(0, 4)):
            case 0:
                del node[key]
            case 1 if isinstance(node, dict):
                node[f"{key}x"] = here
            case _:
                node[key] = copy.deepcopy(choice[int(rng.integers(len(choice)))])
    return found


@pytest.fixture(scope="session")
def damaged() -> Callable[..., Any]:
    """Changes bytes, or nested dictionaries: of JSON, or `stored` in HDF5."""

    def change(data: Any, rng: np.random.Generator, stored: bool = False) -> Any:
        return _bytes(data, rng) if isinstance(data, bytes) else _values(data, rng, STORED if stored else NASTY)

    return change


@pytest.fixture(scope="session")
def survives() -> Callable[..., int]:
    """Calls a reader with many inputs: each is read, or refused by an error of ours that says where, what and how."""

    def run(read: Callable[[Any], object], inputs: Any) -> int:
        refused = 0
        for number, data in enumerate(inputs):
            before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
            try:
                read(data)
            except Exception as error:
                if not all(getattr(error, part, None) for part in ("where", "what", "fix")):
                    pytest.fail(f"input {number}: {type(error).__name__}: {error!r:.300}: {data!s:.1500}")
                refused += 1
            assert time.monotonic() - begin < LIMIT_S, f"input {number} took too long: {data!s:.1500}"
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            assert grown < LIMIT_MB, f"input {number} took {grown:.0f} MB: {data!s:.1500}"
        return refused

    return run
