"""Inside other people's programs: what they have set in PyTorch, and forks of their processes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.errors import InputError, OptionError
from impasto.networks import weights
from impasto.networks.weights import load_encoder, pick_device
from impasto.pictures.image import open_picture
from impasto.pipeline import stylize

PHOTO = Image.fromarray(np.random.default_rng(2).integers(0, 256, (40, 48, 3), np.uint8))
PAINTING = Image.fromarray(np.random.default_rng(3).integers(0, 256, (40, 40, 3), np.uint8))
WAYS: tuple[dict[str, Any], ...] = (
    {"init": "noise", "steps": 2, "keep_color": "luminance"},
    {"optimizer": "lbfgs", "init": "content", "steps": 2, "keep_color": "statistics"},
    {"method": "arbitrary", "refine": 1, "strength": 0.5},
)


def pictures() -> list[bytes]:
    return [stylize(PHOTO, PAINTING, size=48, device="cpu", **way).tobytes() for way in WAYS]


@pytest.fixture(scope="module")
def alone() -> list[bytes]:
    return pictures()


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize(
    "around",
    [
        torch.inference_mode,
        torch.no_grad,
        lambda: torch.autocast("cpu"),
        lambda: torch.device("meta"),
        lambda: default_dtype(torch.float16),
        lambda: default_dtype(torch.float64),
    ],
    ids=["inference mode", "no grad", "autocast", "default device", "half", "double"],
)
def test_what_a_program_sets_in_pytorch_changes_no_picture(
    alone: list[bytes], around: Callable[[], AbstractContextManager[Any]]
) -> None:
    with around():
        assert pictures() == alone


def test_what_is_loaded_in_inference_mode_can_be_used_outside() -> None:
    with torch.inference_mode():
        encoder, picture = load_encoder(device="cpu"), open_picture(PHOTO).image
    picture.requires_grad_(True)
    encoder.features(picture, ["relu2_1"])["relu2_1"].float().sum().backward()
    assert picture.grad is not None


POOL = """
import multiprocessing, sys, torch, impasto
from PIL import Image
photo, style = Image.new("RGB", (64, 64), "red"), Image.new("RGB", (64, 64), "blue")
def paint(_):
    ways = {"steps": 1, "init": "content"}, {"method": "arbitrary"}
    return [impasto.stylize(photo, style, size=64, device="cpu", **way).size for way in ways]
assert torch.get_num_threads() == 2
paint(0)
with multiprocessing.get_context("fork").Pool(1) as pool:
    print(*pool.map_async(paint, [0]).get(60)[0])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_pool_forked_after_a_picture_was_made_makes_pictures() -> None:
    """OpenMP's threads are not forked with the rest; who waits for them waits for ever."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", POOL],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.split() == ["(64,", "64)"] * 2, done.stderr


def test_an_accelerator_after_a_fork_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Cannot re-initialize CUDA in forked subprocess. To use CUDA …")

    monkeypatch.setattr(weights.torch, "zeros", refuse)
    with pytest.raises(OptionError, match="spawn"):
        pick_device("auto")


@pytest.mark.parametrize("device", ["meta", "gpu", "", "cuda:99", 3])
def test_a_device_that_keeps_no_values_is_none(device: Any) -> None:
    with pytest.raises(OptionError, match="not available"):
        pick_device(device)


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(3, 32, 32, device="meta"), torch.zeros(3, 32, 32).to_sparse()],
    ids=["meta", "sparse"],
)
def test_a_tensor_without_values_is_no_picture(tensor: torch.Tensor) -> None:
    with pytest.raises(InputError, match="no values to read"):
        open_picture(tensor)


@pytest.mark.parametrize("kind", [">u2", "<u2", ">f4", ">f8"])
def test_arrays_of_either_byte_order_are_the_same_picture(kind: str) -> None:
    levels = np.random.default_rng(4).integers(0, 2, (20, 24, 3))
    top = np.iinfo(kind).max if "u" in kind else 1
    image = open_picture((levels * top).astype(kind)).image
    assert torch.equal(image[0].permute(1, 2, 0), torch.tensor(levels, dtype=torch.float32))
