"""Where an encoder's weights come from: this package, a file, or a model hub.

Weights are safetensors, never unpickled. The files written here carry their architecture, recipe
and licence in the header; a bare VGG (`conv1_1.weight`, …, or torchvision's and timm's
`features.0.weight`, …) is understood by its shapes.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from impasto.errors import ImpastoError, OptionError, WeightsError, kind_of
from impasto.forks import survive_forks
from impasto.networks.encoder import VGG19, Architecture, Encoder, Layer, Pooling
from impasto.networks.header import file_digest
from impasto.networks.hub import fetch
from impasto.networks.kernels import bfloat16_is_native
from impasto.pictures.kinds import STYLE, WEIGHTS, mistaken
from impasto.pictures.writing import atomic_write

__all__ = [
    "EMBEDDED",
    "SECOND",
    "best_dtype",
    "encoder_digest",
    "encoder_names",
    "load_encoder",
    "pick_device",
    "read_weights",
    "stored",
    "write_weights",
]

EMBEDDED = "compact"
SECOND = "compact-2"
HUB = "timm/vgg19.tv_in1k"
_UNREADABLE = (
    SafetensorError,
    OSError,
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    RuntimeError,
)
WAY_OUT = "use the embedded one (`encoder=compact`) or a local file (`encoder=FILE.safetensors`)"


def encoder_names() -> tuple[str, ...]:
    """The encoders known by name; a path to a safetensors file is accepted beside them."""
    return (EMBEDDED, SECOND, "vgg19")


def encoder_digest(source: str | Path = EMBEDDED) -> str:
    """Sixteen hexadecimal digits that tell an encoder's file from any other."""
    path, _ = _locate(str(source))
    return file_digest(path)


@torch.inference_mode(False)
def load_encoder(
    source: str | Path = EMBEDDED,
    *,
    pooling: Pooling = "max",
    device: str = "auto",
    dtype: torch.dtype | None = None,
) -> Encoder:
    """A frozen `Encoder` by name or from a safetensors file, on `device`, computing in `dtype`.

    `source`: `compact` (embedded, offline), `compact-2` (likewise; its second edition, in training:
    half the cost, not yet as near to VGG-19), `vgg19` (ImageNet weights, fetched once from the hub
    and cached: CC BY 4.0, Simonyan and Zisserman), `vgg19@REVISION` (the same of one commit of the
    hub's repository, whatever it is given later) or a file. `dtype` defaults to the fastest the
    device computes natively. Raises `ImpastoError` for anything that cannot be loaded, naming a way
    out.
    """
    survive_forks()
    where = pick_device(device)
    if not isinstance(source, str | os.PathLike):
        raise WeightsError(f"an encoder is loaded by a name or a file, not {kind_of(source)}")
    path, name = _locate(str(source))
    architecture, weights = read_weights(path)
    with torch.device("cpu"):  # whatever the program's default is
        encoder = Encoder(architecture, name=name, pooling=pooling).load(weights)
    return encoder.to(device=where, dtype=dtype or best_dtype(where))


def pick_device(device: str) -> torch.device:
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps` -> a device that is there (`ImpastoError` otherwise)."""
    try:
        chosen = torch.device(_accelerator() if device == "auto" else device)
        torch.zeros(1, device=chosen).item()  # of a device that keeps no values there is none
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        if "fork" in str(error):
            raise OptionError(
                "a process that was forked cannot use the accelerator its parent used; start it by "
                "multiprocessing's spawn, or use `device=cpu`"
            ) from None
        raise OptionError(
            f"device {device!r} is not available here; use `device=auto` or `device=cpu`"
        ) from None
    return chosen


def _accelerator() -> torch.device:
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return found or torch.device("cpu")


def best_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively, else float32."""
    if device.type == "cpu":
        native = bfloat16_is_native()
    else:
        native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float32


def _locate(source: str) -> tuple[Path, str]:
    if source in (EMBEDDED, SECOND):
        return Path(str(resources.files("impasto") / "assets" / f"{source}.safetensors")), source
    name, _, revision = source.partition("@")
    if name == "vgg19":
        return _from_hub(revision or None), source
    path = Path(source)
    if not os.path.isfile(path):  # also for what can be no path
        raise WeightsError(
            f"no encoder {source!r}: choose {', '.join(encoder_names())} or an existing safetensors file"
        )
    return path, path.name


def _from_hub(revision: str | None) -> Path:
    try:
        return fetch(HUB, "model.safetensors", revision)
    except WeightsError as error:
        at = f" at {revision}" if revision else ""
        raise WeightsError(f"no vgg19{at}: {error}; {WAY_OUT}") from None


def read_weights(path: Path) -> tuple[Architecture, dict[str, Tensor]]:
    """`(architecture, {"conv1_1.weight": …, …})` in float32 from a safetensors file.

    Raises `ImpastoError` where the file is not one, or holds no VGG.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            names = {key: _conv_name(key) for key in file.keys()}  # noqa: SIM118
            weights = {name: file.get_tensor(key).float() for key, name in names.items() if name}
    except (SafetensorError, OSError) as error:
        broken = f"{path.name} is not a readable safetensors file ({error}); {WAY_OUT}"
        raise WeightsError(mistaken(path, WEIGHTS) or broken) from None
    if "conv1_1.weight" not in weights:
        another = f"{path.name} holds no VGG (conv1_1.weight or features.0.weight); {WAY_OUT}"
        raise WeightsError(mistaken(path, WEIGHTS) or another)
    return _architecture(header, weights, torchvision="features.0.weight" in names), weights


@contextmanager
def stored(
    path: Path, kind: str, what: str, made: str, *, called: object = None, advice: str = ""
) -> Iterator[tuple[Mapping[str, str], dict[str, Tensor]]]:
    """Header and tensors, float32 on the CPU, of a file of that `kind` that `write_weights` wrote.

    `WeightsError` for a file of another kind, and for what the block finds wrong in it: `called`, by
    default its path, is no `what`, as the command `made` makes them; `advice`: what to do then.
    """
    called, wanted = called or path, STYLE if what == "style" else WEIGHTS
    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            if header.get("kind") != kind:
                another = f"{called} holds no {what}; give a file that {made} made"
                raise WeightsError((wanted == WEIGHTS and mistaken(path, wanted)) or another)
            found = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        with torch.device("cpu"):  # whatever the program's default is
            yield (
                header,
                {key: x.float() if x.is_floating_point() else x for key, x in found.items()},
            )
    except ImpastoError:
        raise
    except _UNREADABLE as error:
        reason, article = " ".join(str(error).split()), "an" if what[0] in "aeiou" else "a"
        broken = f"{called} is not {article} {what} that can be read ({reason}){advice}"
        raise WeightsError(mistaken(path, wanted) or broken) from None


def write_weights(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write `tensors`, of any device and layout, as safetensors: the whole file or nothing.

    Raises `ImpastoError` where it cannot be written; what was there is then there still.
    """
    # Copies: safetensors refuses tensors that share memory, as the rows of one do.
    own = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in tensors.items()
    }
    try:
        with atomic_write(path) as partial:
            partial.write_bytes(
                save(own, dict(header))
            )  # safetensors' own files are private to their owner
    except OSError as error:
        raise WeightsError(f"{path} cannot be written ({error}); choose another place") from error


# torchvision numbers every module of `features`: convolutions, ReLUs and poolings.
_TORCHVISION = dict(
    zip(
        (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
        (layer.removeprefix("relu") for layer in VGG19.widths),
        strict=True,
    )
)


def _conv_name(key: str) -> str | None:
    """The name under which an `Encoder` knows a stored tensor; None for what is no part of one
    (classifiers).
    """
    if re.fullmatch(r"((conv|head)\d_\d|down\d)\.(weight|bias)", key):
        return key
    match = re.fullmatch(r"features\.(\d+)\.(weight|bias)", key)
    if match and int(match[1]) in _TORCHVISION:
        return f"conv{_TORCHVISION[int(match[1])]}.{match[2]}"
    return None


def _architecture(
    header: dict[str, str], weights: dict[str, Tensor], torchvision: bool
) -> Architecture:
    if "architecture" in header:
        return _stored(json.loads(header["architecture"]))
    if torchvision:
        return VGG19
    convs = sorted(key[4:7] for key in weights if re.fullmatch(r"conv\d_\d\.weight", key))
    blocks = tuple(
        tuple(weights[f"conv{name}.weight"].shape[0] for name in convs if name[0] == block)
        for block in sorted({name[0] for name in convs})
    )
    heads = tuple(
        (f"relu{key[4:7]}", value.shape[0])
        for key, value in sorted(weights.items())
        if re.fullmatch(r"head.*weight", key)
    )
    # Bare files of this kind have their centring folded into conv1_1.
    return Architecture.vgg(blocks, mean=(0.0,) * 3, std=(1.0,) * 3, heads=heads)


def _stored(header: dict[str, Any]) -> Architecture:
    mean, std, padding = tuple(header["mean"]), tuple(header["std"]), header["padding"]
    heads = tuple((layer, width) for layer, width in header.get("heads", ()))
    if "blocks" in header:  # written when every encoder was a VGG
        return Architecture.vgg(header["blocks"], mean, std, padding, heads)
    return Architecture(
        tuple(Layer(**layer) for layer in header["layers"]), mean, std, padding, heads
    )
