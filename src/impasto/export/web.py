"""A static page that paints in its visitors' own browsers, by ONNX Runtime: nothing is sent anywhere.

The page itself is `page/`: its worker does what `impasto.lite` does. Beside it stand the networks as
ONNX with float16 weights, a vector and a thumbnail for each learned style, and ONNX Runtime's files.
"""

import json
import os
from collections.abc import Iterator, Mapping
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch
from PIL import Image
from torch import Tensor

from impasto.errors import ImpastoError, InputError
from impasto.networks.checkpoint import Painter
from impasto.pictures.image import open_picture, to_pil
from impasto.pictures.samples import sample
from impasto.pictures.writing import atomic_folder

__all__ = ["check_site", "write_site"]

_PAGE = ("index.html", "page.css", "page.js", "worker.js")
_LIST = "site.json"
_THUMBNAIL = 160  # px


def check_site(folder: Path) -> None:
    """Raise `InputError` where a site may not be written: there is something that is no site of
    this package, or no folder to put it in.
    """
    beside = folder.resolve().parent
    if not beside.is_dir():
        raise InputError(f"the folder {beside} does not exist; make it first")
    if not os.access(beside, os.W_OK):
        raise InputError(f"cannot write into {beside} (Permission denied); choose another folder")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder")
    others = sorted(_within(folder) - _listed(folder)) if folder.is_dir() else []
    if others:
        raise InputError(f"{folder} has other things in it ({others[0]}); name a folder of its own")


def write_site(
    folder: Path,
    painter: Painter,
    models: Mapping[str, bytes],
    runtime: Mapping[str, bytes],
) -> None:
    """Write the whole folder or nothing.

    `models`: `painter` and, where the network reads pictures, `reader` as ONNX. `runtime`: ONNX
    Runtime's files by name, see `impasto.export.runtime`. An older site is replaced. `InputError` as
    `check_site` has it.
    """
    check_site(folder)
    contents = dict(_contents(painter, models, runtime))
    contents[_LIST] = _json(sorted([*contents, _LIST]))
    try:
        with atomic_folder(folder) as partial:
            for name, data in contents.items():
                path = partial / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
    except OSError as error:
        raise ImpastoError(f"cannot write {folder} ({error.strerror})") from error


def _contents(
    painter: Painter, models: Mapping[str, bytes], runtime: Mapping[str, bytes]
) -> Iterator[tuple[str, bytes]]:
    for name in _PAGE:
        yield name, (files("impasto.export") / "page" / name).read_bytes()
    for name, data in models.items():
        yield f"models/{name}.onnx", data
    for name, data in runtime.items():
        yield f"runtime/{name}", data
    if painter.identity is not None:
        yield "styles/identity.bin", _vector(painter.identity)
    photo = open_picture(sample("cat"), size=_THUMBNAIL).image
    icon = _webp(to_pil(photo))
    for name in painter.bank.names:
        vector = painter.bank.vectors[name]
        icon = _webp(_painted(painter, photo, vector))
        yield f"styles/{name}.style.webp", icon
        yield f"styles/{name}.style.bin", _vector(vector)
    yield "icon.webp", icon
    yield "styles.json", _json(_styles(painter, "reader" in models))


def _styles(painter: Painter, reads: bool) -> dict[str, Any]:
    """What the page is told: `identity` is the file of the vector that gives a photo back, where
    the network has one, and else the reader is asked.
    """
    styles = []
    for name in painter.bank.names:
        where = f"styles/{quote(name)}.style"
        styles.append(
            {
                "name": name,
                "title": name.replace("-", " ").capitalize(),
                "note": painter.bank.notes.get(name, ""),
                "vector": f"{where}.bin",
                "thumbnail": f"{where}.webp",
            }
        )
    identity = "styles/identity.bin" if painter.identity is not None else None
    blends = reads or identity is not None
    return {"reads": reads, "blends": blends, "identity": identity, "styles": styles}


@torch.no_grad()
def _painted(painter: Painter, photo: Tensor, vector: Tensor) -> Image.Image:
    return to_pil(painter.transform_net(photo, vector[None]).clamp(0, 1))


def _vector(vector: Tensor) -> bytes:
    """float32, little-endian: what a `Float32Array` is on every device that has a browser."""
    return vector.detach().cpu().float().numpy().astype("<f4").tobytes()


def _webp(image: Image.Image) -> bytes:
    coded = BytesIO()
    image.save(coded, "WEBP", quality=84, method=4)
    return coded.getvalue()


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def _within(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def _listed(folder: Path) -> set[str]:
    """The files of a site that stands there."""
    try:
        found = json.loads((folder / _LIST).read_text(encoding="utf-8"))
        return {str(name) for name in found}
    except (OSError, ValueError, TypeError):
        return set()
