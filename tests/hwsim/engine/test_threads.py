"""Work in threads: all of it is done once, and errors come through."""

import threading

import pytest
import torch

from hwsim.engine.threads import in_threads


@pytest.fixture(params=[1, 2, 4])
def _threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_threads")
def test_every_item_is_worked_on_once():
    with in_threads() as each:
        for count in (0, 1, 2, 50):
            assert sorted(each(lambda x: x * x, range(count))) == [x * x for x in range(count)]


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("error", [IndexError, ValueError])
def test_an_error_of_any_kind_reaches_the_caller_and_leaves_no_thread(error):
    before = threading.active_count()

    def work(x):
        if x == 3:
            raise error("three")

    with pytest.raises(error, match="three"), in_threads() as each:
        each(work, range(20))
    assert threading.active_count() == before
