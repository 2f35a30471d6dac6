"""Shared by all tests."""

import pytest
import torch

from impasto.networks.encoder import Encoder
from impasto.networks.weights import load_encoder


@pytest.fixture(scope="session")
def compact() -> Encoder:
    """The embedded encoder in float32 on the CPU, so that laws hold to rounding."""
    return load_encoder("compact", device="cpu", dtype=torch.float32)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Pictures this small are no work for two: where the processor is busy, two wait for each other
    at every step.
    """
    torch.set_num_threads(1)
