"""Fast kernels against their plain twins: the same values and gradients, and a switch between them."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from types import MappingProxyType

import pytest
import torch
from torch import Tensor

import impasto.networks
from impasto.losses.gram import cooccurrence
from impasto.networks import kernels
from impasto.networks.transform_net import TransformNet, TransformNetConfig
from impasto.portable import is_portable, portable

Kernel = Callable[..., Tensor]
LAYOUTS = (torch.contiguous_format, torch.channels_last)


def normal(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def conv_relu(padding: str, stride: int, dtype: torch.dtype) -> tuple[Kernel, list[Tensor]]:
    weight = normal(6, 5, 3 if stride == 1 else 4, 3 if stride == 1 else 4, seed=1, dtype=dtype)
    bias = normal(6, seed=2, dtype=dtype)
    x = normal(2, 5, 12, 10, seed=3, dtype=dtype)
    return lambda x: kernels.conv_relu(x, weight / 8, bias, padding, stride), [x]


def padded_convolution(mode: str, stride: int, dtype: torch.dtype) -> tuple[Kernel, list[Tensor]]:
    kernel = normal(6, 5, 5, 5, seed=1, dtype=dtype) / 8
    x = normal(2, 5, 12, 10, seed=3, dtype=dtype)
    return lambda *given: kernels.padded_convolution(*given, stride, mode), [x, kernel]


def instance_norm(relu: bool, batch: int, dtype: torch.dtype) -> tuple[Kernel, list[Tensor]]:
    of_style = torch.float64 if dtype == torch.float64 else torch.float32
    scale, shift = (normal(batch, 5, seed=seed, dtype=of_style) for seed in (1, 2))
    x = 2 + normal(batch, 5, 12, 10, seed=3, dtype=dtype)
    return lambda *given: kernels.instance_norm(*given, 1e-5, relu=relu), [x, scale, shift]


CASES = [
    *((conv_relu, padding, stride) for padding in ("reflect", "zeros") for stride in (1, 2)),
    *((padded_convolution, mode, stride) for mode in ("reflect", "replicate") for stride in (1, 2)),
    *((instance_norm, relu, batch) for relu in (False, True) for batch in (1, 3)),
]
# Twice a rounding of the result, to be met by every value: two twins round at different places.
PRECISIONS = [(torch.float64, 1e-12), (torch.float32, 2e-5), (torch.bfloat16, 0.03)]


def direction(y: Tensor) -> Tensor:
    """Of a gradient: any, but not of what a rounding may put on either side of a ReLU's corner."""
    return normal(*y.shape, seed=4, dtype=y.dtype) * ((y == 0) | (y.abs() > 0.05))


def value_and_gradients(kernel: Kernel, given: list[Tensor], toward: Tensor) -> list[Tensor]:
    leaves = [each.clone().requires_grad_(True) for each in given]
    y = kernel(*leaves)
    return [y, *torch.autograd.grad(y, leaves, toward)]


def operations(y: Tensor) -> Iterator[str]:
    """Names of the steps of a gradient."""
    steps = [y.grad_fn]
    while steps:
        step = steps.pop()
        if step is not None:
            yield type(step).__name__
            steps += [before for before, _ in step.next_functions]


@pytest.mark.parametrize(("dtype", "precision"), PRECISIONS, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS, ids=["planes", "channels-last"])
@pytest.mark.parametrize(
    ("make", "first", "second"), CASES, ids=lambda each: getattr(each, "__name__", str(each))
)
def test_twins_are_equal(
    make: Callable[..., tuple[Kernel, list[Tensor]]],
    first: object,
    second: int,
    layout: torch.memory_format,
    dtype: torch.dtype,
    precision: float,
) -> None:
    kernel, given = make(first, second, dtype)
    given[0] = given[0].contiguous(memory_format=layout)
    toward = direction(kernel(*given))
    fast = value_and_gradients(kernel, given, toward)
    with portable():
        plain = value_and_gradients(kernel, given, toward)
    for one, other in zip(fast, plain, strict=True):
        assert one.dtype == other.dtype
        size = other.double().abs().max().item()
        torch.testing.assert_close(one, other, rtol=precision, atol=precision * size)


@pytest.mark.parametrize(
    ("make", "first", "second"), CASES, ids=lambda each: getattr(each, "__name__", str(each))
)
def test_the_switch_chooses(
    make: Callable[..., tuple[Kernel, list[Tensor]]], first: object, second: int
) -> None:
    kernel, given = make(first, second, torch.float32)
    x = given[0].requires_grad_(True)
    fast = list(operations(kernel(x, *given[1:])))
    with portable():
        plain = list(operations(kernel(x, *given[1:])))
    ours = {"_ConvReLUBackward", "_PaddedConvolutionBackward", "_BatchOfNormsBackward"}
    assert ours & set(fast)
    assert not ours & set(plain)


@pytest.mark.parametrize("layout", LAYOUTS, ids=["planes", "channels-last"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_moments_have_a_twin(dtype: torch.dtype, layout: torch.memory_format) -> None:
    x = (2 + normal(1, 5, 24, 30, seed=1, dtype=dtype)).contiguous(memory_format=layout)
    fast = kernels.channel_moments(x)
    with portable():
        plain = kernels.channel_moments(x)
    exact = torch.var_mean(x.double(), dim=(0, 2, 3), correction=0)[::-1]
    for one, other, wanted in zip(fast, plain, exact, strict=True):
        assert one.dtype == other.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(other, wanted.float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shift", [0, 3])
def test_products_by_bands_have_a_twin(shift: int) -> None:
    """To a few parts in 10^4, as they promise."""
    features = normal(1, 4, 64, 48, seed=1, dtype=torch.bfloat16)
    toward = normal(1, 4, 4, seed=2, dtype=torch.float32)
    fast = value_and_gradients(lambda x: cooccurrence(x, 0, shift), [features], toward)
    with portable():
        plain = value_and_gradients(lambda x: cooccurrence(x, 0, shift), [features], toward)
    assert not torch.equal(fast[0], plain[0]), "the fast one was not taken"
    # Features have variance 1, so that is what a product is measured by.
    torch.testing.assert_close(fast[0], plain[0], rtol=0, atol=5e-4)
    size = plain[1].double().abs().max().item()
    torch.testing.assert_close(fast[1], plain[1], rtol=0, atol=0.01 * size)


@pytest.mark.parametrize("make", [conv_relu, padded_convolution, instance_norm])
def test_a_pytorch_without_an_operator_takes_the_twin(
    make: Callable[..., tuple[Kernel, list[Tensor]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = {kernel: rest for kernel, *rest in CASES}[make]
    kernel, given = make(first, second, torch.float32)
    with portable():
        plain = kernel(*given)
    gone = dict(kernels._OPERATORS) | {make.__name__: ("aten.no_such_operator",)}
    monkeypatch.setattr(kernels, "_OPERATORS", MappingProxyType(gone))
    given[0].requires_grad_(True)
    y = kernel(*given)
    assert torch.equal(y, plain)
    assert not [name for name in operations(y) if name.startswith("_")]


def test_a_fused_relu_that_is_missing_is_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, given = conv_relu("zeros", 1, torch.bfloat16)
    fused = kernel(*given)
    gone = dict(kernels._OPERATORS) | {"fused_relu": ("mkldnn.no_such_operator",)}
    monkeypatch.setattr(kernels, "_OPERATORS", MappingProxyType(gone))
    torch.testing.assert_close(kernel(*given), fused)


def test_a_processor_that_cannot_be_asked_computes_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert kernels.bfloat16_is_native() is False


def test_the_switch_goes_back_after_an_error() -> None:
    with portable():
        with pytest.raises(KeyError), portable():
            raise KeyError
        assert is_portable()
    assert not is_portable()


def test_the_switch_is_its_threads_own() -> None:
    seen: list[bool] = []
    with portable():
        other = Thread(target=lambda: seen.append(is_portable()))
        other.start()
        other.join()
    assert seen == [False]


def test_a_network_can_be_exported() -> None:
    net = TransformNet(TransformNetConfig(channels=(4, 6, 8), blocks=(0, 1, 0), entry=3, leave=5))
    given = torch.rand(1, 3, 32, 40), 0.3 * normal(1, net.vector_size, seed=1, dtype=torch.float32)
    with portable(), torch.no_grad():
        exported = torch.export.export(net.eval(), given).module()
        found = exported(*given)
        assert not [node for node in exported.graph.nodes if "autograd" in str(node.target)]
    with torch.no_grad():
        torch.testing.assert_close(found, net(*given), rtol=0, atol=1e-5)
        # What was traced left nothing behind that later calls would read.
        other = torch.rand(1, 3, 40, 48)
        assert net(other, given[1]).isfinite().all()


def test_private_operators_stand_in_one_room() -> None:
    package = Path(impasto.networks.__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        found = [
            ast.unparse(node)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute)
            and ast.unparse(node).startswith("torch.")
            and re.fullmatch(r"torch\.(ops\b.*|([\w.]+\.)?_[a-zA-Z].*)", ast.unparse(node))
        ]
        assert not found or path.name == "kernels.py", f"{path.name}: {found}"
