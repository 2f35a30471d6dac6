"""Shared by all tests."""

import pytest
import torch

from impasto.nets.encoder import Encoder
from impasto.nets.weights import load_encoder


@pytest.fixture(scope="session")
def compact() -> Encoder:
    """The embedded encoder in float32 on the CPU, so that laws hold to rounding."""
    return load_encoder("compact", device="cpu", dtype=torch.float32)
