"""A network that enlarges pictures, as a file: safetensors, what is no tensor in the header."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from impasto.forks import survive_forks
from impasto.networks.header import located
from impasto.networks.upscale_net import UpscaleNet, UpscaleNetConfig
from impasto.networks.weights import best_dtype, pick_device, stored, write_weights

__all__ = ["UPSCALER", "Upscaler", "load_upscaler", "save_upscaler"]

UPSCALER = "upscaler"
"""What the embedded network is called."""

_KIND = "impasto upscaler"


@dataclass(frozen=True)
class Upscaler:
    """An `UpscaleNet`; `recipe` says how it was trained, `licence` what may be done with it."""

    net: UpscaleNet
    recipe: Mapping[str, Any] = field(default_factory=dict)
    licence: str = "not stated"

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.net.entry.weight.device

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of its shape and its weights in float16."""
        digest = hashlib.sha256(json.dumps(asdict(self.net.config)).encode())
        for name, value in sorted(self.net.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().to("cpu", torch.float16).contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


@torch.inference_mode(False)
def load_upscaler(
    source: str | Path = UPSCALER, *, device: str = "auto", dtype: torch.dtype | None = None
) -> Upscaler:
    """The embedded network, or one that `impasto train upscale` made, frozen, on `device`.

    It computes in `dtype`, by default the fastest that the device has natively. Raises
    `ImpastoError` for a file that cannot be read or is no such network.
    """
    survive_forks()
    where, path = pick_device(device), located(str(source), UPSCALER)
    made = "impasto train upscale"
    with stored(path, _KIND, "upscaler", made, called=path.name) as (header, tensors):
        net = UpscaleNet(UpscaleNetConfig(**json.loads(header["config"])))
        net.load_state_dict(tensors)
        found = Upscaler(net, json.loads(header["recipe"]), header["licence"])
    net.to(device=where, dtype=dtype or best_dtype(where)).requires_grad_(False).eval()
    return found


def save_upscaler(path: Path, upscaler: Upscaler) -> None:
    """Write it as float16 safetensors, atomically."""
    header = {
        "kind": _KIND,
        "config": json.dumps(asdict(upscaler.net.config)),
        "recipe": json.dumps(dict(upscaler.recipe)),
        "licence": upscaler.licence,
    }
    tensors = {name: value.half() for name, value in upscaler.net.state_dict().items()}
    write_weights(path, tensors, header)
