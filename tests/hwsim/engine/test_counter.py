"""Products of stacked matrices equal numpy's, in 32 bits and where those do not hold them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from hwsim.engine.counter import Stacked
from hwsim.engine.lanes import WIDTH


@given(
    seed=st.integers(0, 2**32 - 1),
    heights=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    columns=st.integers(1, 9),
    blocks=st.integers(1, 3),
    wide=st.booleans(),
)
def test_products_equal_those_of_the_single_matrices(seed, heights, columns, blocks, wide):
    rng = np.random.default_rng(seed)
    parts = [rng.integers(0, 4, (height, columns)) for height in heights]
    most = rng.integers(0, 2**31 - 1 if wide else 1000, columns)
    counts = rng.integers(0, most + 1, (blocks * WIDTH, columns)).T
    found = Stacked([sparse.csr_matrix(part) for part in parts], most) @ counts.astype(np.int32)
    for part, product in zip(parts, found, strict=True):
        assert np.array_equal(product, part @ counts)


@pytest.mark.parametrize(("most", "kind"), [(2**29 - 1, np.int32), (2**29, np.int64)])
def test_sums_of_31_bits_are_made_in_32_and_larger_ones_in_64(most, kind):
    counts = np.full((2, WIDTH), most, np.int32)
    (found,) = Stacked([np.array([[3, 1]])], counts[:, 0].astype(np.int64)) @ counts
    assert found.dtype == kind
    assert (found == 4 * most).all()
