"""What tests against torch share."""

import pytest


@pytest.fixture(scope='module')
def one_thread():
    """Let torch work alone: threads that wait for a busy core take longer than the work."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
