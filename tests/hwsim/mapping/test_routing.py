"""Routes against a walk from tile to tile."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hwsim.mapping.routing import Link, route

_TILES = st.tuples(st.integers(0, 9), st.integers(0, 5))


def _walk(source, target):
    """The links from one tile to another, in order: first east or west, then north or south."""
    (x, y), links = source, []
    while x != target[0]:
        links.append(Link(x, y, "E" if target[0] > x else "W"))
        x += 1 if target[0] > x else -1
    while y != target[1]:
        links.append(Link(x, y, "S" if target[1] > y else "N"))
        y += 1 if target[1] > y else -1
    return links


@given(st.lists(st.tuples(_TILES, _TILES), max_size=12))
def test_routes_equal_a_walk_from_tile_to_tile(pairs):
    routes = route(pairs)
    paths = [_walk(*pair) for pair in pairs]
    links = sorted({link for path in paths for link in path}, key=lambda k: (k.x, k.y, k.direction))
    assert list(routes.links) == links
    expected = np.array([[link in path for path in paths] for link in links], int).reshape(len(links), len(pairs))
    assert np.array_equal(routes.incidence.toarray(), expected)
    assert routes.ew.tolist() == [abs(a[0] - b[0]) for a, b in pairs]
    assert routes.ns.tolist() == [abs(a[1] - b[1]) for a, b in pairs]
