"""A network that paints in one pass, and the styles it knows: one safetensors file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from impasto.errors import WeightsError
from impasto.forks import survive_forks
from impasto.home import own_bank
from impasto.networks.grams import packed, unpacked
from impasto.networks.header import located
from impasto.networks.shapes import spoken_shape
from impasto.networks.style_bank import StyleBank
from impasto.networks.style_predictor import StylePredictor, StylePredictorConfig
from impasto.networks.transform_net import TransformNet, TransformNetConfig
from impasto.networks.weights import best_dtype, pick_device, stored, write_weights

__all__ = ["PAINTER", "Painter", "fingerprint", "load_network", "save_painter"]

PAINTER = "painter"
_KIND = "impasto painter"
_STYLE = "style."
_IDENTITY = "own"  # its name in files since 0.1

_Net = TypeVar("_Net", bound=nn.Module)


@dataclass(frozen=True)
class Painter:
    """A `TransformNet`, a `bank` of named style vectors, and a `predictor` of others from pictures.

    `identity`, `(V,)`, is the vector that gives a photo itself back, for a network without a
    predictor to ask. `encoder` names the one whose features the predictor reads. `recipe` says how
    it was trained, `licence` what may be done with it.
    """

    transform_net: TransformNet
    bank: StyleBank
    predictor: StylePredictor | None = None
    identity: Tensor | None = None
    encoder: str = "compact"
    recipe: Mapping[str, Any] = field(default_factory=dict)
    licence: str = "not stated"

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.transform_net.entry.weight.device

    def knowing(self, bank: StyleBank) -> "Painter":
        """The same network with the styles of `bank` too; `ImpastoError` if they are another's."""
        joined, length = self.bank.joined(bank), (self.transform_net.vector_size,)
        for name, vector in bank.vectors.items():
            if vector.shape != length:
                raise WeightsError(f"the style {name!r} is damaged: learn it, or fetch it, again")
        return replace(self, bank=joined)

    def knowing_own(self) -> tuple["Painter", tuple[str, ...]]:
        """The same network with the user's own styles; where they are another's, as it is, and the
        names left out.

        Raises `ImpastoError` for a bank that cannot be read.
        """
        path = own_bank()
        if not path.is_file():
            return self, ()
        bank = StyleBank.load(path)
        return (self.knowing(bank), ()) if bank.network == self.bank.network else (self, bank.names)


def fingerprint(transform_net: TransformNet) -> str:
    """The network a style vector belongs to: 16 hexadecimal digits of its weights in float16."""
    digest = hashlib.sha256(spoken_shape(asdict(transform_net.config)).encode())
    for name, value in sorted(transform_net.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().to("cpu", torch.float16).contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


@torch.inference_mode(False)
def load_network(
    source: str | Path = PAINTER, *, device: str = "auto", dtype: torch.dtype | None = None
) -> Painter:
    """The embedded network, or one from a safetensors file, frozen, on `device`.

    Its transform net computes in `dtype`, by default the fastest that the device has natively; the
    predictor stays float32. Raises `ImpastoError` for a file that cannot be read or is no painter.
    """
    survive_forks()
    where = pick_device(device)
    path = located(str(source), PAINTER)
    with stored(path, _KIND, "painter", "impasto train", called=path.name) as (header, tensors):
        painter = _assemble(header, tensors)
    painter.transform_net.to(device=where, dtype=dtype or best_dtype(where))
    if painter.predictor is not None:
        painter.predictor.to(where)
    for part in (painter.transform_net, painter.predictor):
        if part is not None:
            part.requires_grad_(False).eval()
    return painter


def _assemble(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Painter:
    config = json.loads(header["config"])
    shape: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in config["transformer"].items()
    }
    # What files of version 0.1 do not say, here and of the predictor.
    shape = {"noise": 0, "context": 0, **shape}
    transform_net = _loaded(TransformNet(TransformNetConfig(**shape)), "transformer.", tensors)
    predictor = None
    if config.get("predictor"):
        predictor = _loaded(
            StylePredictor(StylePredictorConfig(**{"layers": 1, **config["predictor"]})),
            "predictor.",
            tensors,
        )
    vectors = {
        key.removeprefix(_STYLE): value for key, value in tensors.items() if key.startswith(_STYLE)
    }
    identity = tensors.get(_IDENTITY)
    spoken = {len(vector) for vector in vectors.values()}
    spoken |= {len(identity)} if identity is not None else set()
    spoken |= {predictor.config.vector} if predictor is not None else set()
    if spoken - {transform_net.vector_size}:
        raise ValueError("its style vectors do not fit its network")
    return Painter(
        transform_net,
        StyleBank(
            fingerprint(transform_net),
            vectors,
            json.loads(header.get("notes", "{}")),
            grams=unpacked(tensors, header.get("grams", "{}")),
        ),
        predictor,
        identity,
        encoder=header["encoder"],
        recipe=json.loads(header["recipe"]),
        licence=header["licence"],
    )


def _loaded(net: _Net, prefix: str, tensors: Mapping[str, Tensor]) -> _Net:
    """`net` with the tensors under `prefix`."""
    net.load_state_dict(
        {
            key.removeprefix(prefix): value
            for key, value in tensors.items()
            if key.startswith(prefix)
        }
    )
    return net


def save_painter(path: Path, painter: Painter) -> None:
    """Write a painter as float16 safetensors, atomically; what is no tensor goes into the header."""
    parts: dict[str, nn.Module] = {"transformer": painter.transform_net}
    if painter.predictor is not None:
        parts["predictor"] = painter.predictor
    tensors = {
        f"{part}.{key}": value
        for part, net in parts.items()
        for key, value in net.state_dict().items()
    }
    tensors |= {_STYLE + name: vector for name, vector in painter.bank.vectors.items()}
    if painter.identity is not None:
        tensors[_IDENTITY] = painter.identity
    matrices, said = packed(painter.bank.grams)
    header = {
        "kind": _KIND,
        "grams": said,
        "config": json.dumps(
            {
                "transformer": asdict(painter.transform_net.config),
                "predictor": asdict(painter.predictor.config)
                if painter.predictor is not None
                else None,
            }
        ),
        "encoder": painter.encoder,
        "notes": json.dumps(dict(painter.bank.notes)),
        "recipe": json.dumps(dict(painter.recipe)),
        "licence": painter.licence,
    }
    write_weights(path, matrices | {key: each.half() for key, each in tensors.items()}, header)
