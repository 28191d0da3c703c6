import pytest
import torch


@pytest.fixture(autouse=True)
def forked_generator():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
