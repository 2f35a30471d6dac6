"""A file given for another is said to be what it is, and which command takes it."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from impasto.errors import ImpastoError
from impasto.film.opening import open_film
from impasto.networks.checkpoint import load_network
from impasto.networks.style_file import StyleFile
from impasto.networks.upscaler import load_upscaler
from impasto.networks.weights import load_encoder
from impasto.pictures.image import open_picture

PICTURE = Image.fromarray(np.random.default_rng(5).integers(0, 256, (40, 48, 3), np.uint8))
HEADER = b'{"__metadata__":{"name":"a","kind":"impasto style","licence":"none"}}'
STYLE = len(HEADER).to_bytes(8, "little") + HEADER
# A file by its name and first bytes, and what takes it.
OTHERS = {
    "clip.mp4": (b"\0\0\0\x20ftypisom", "is a film.*impasto film.*impasto score --film"),
    "clip.mov": (b"\0\0\0\x14ftypqt  ", "is a film"),
    "clip.mkv": (b"\x1aE\xdf\xa3", "is a film"),
    "clip.avi": (b"RIFF\0\0\0\0AVI LIST", "is a film"),
    "called-a-picture.jpg": (b"\0\0\0\x20ftypisom", "is a film"),
    "phone.heic": (b"\0\0\0\x18ftypheic", "HEIC.*JPEG"),
    "camera.nef": (b"MM\0*", "raw file.*develop"),
    "page.pdf": (b"%PDF-1.7\n", "document.*PNG"),
    "drawing.svg": (b'<?xml version="1.0"?>\n<svg xmlns="a">', "drawing in vectors.*PNG"),
    "many.zip": (b"PK\x03\x04", "archive.*unpack"),
    "photos.txt": (b"a.jpg\nb.jpg\n", "list.*impasto batch"),
    "harbour.impasto": (STYLE, "style file.*impasto styles add"),
    "mine.safetensors": (b"\x02\0\0\0\0\0\0\0{}", "weights.*`network` or `encoder`"),
    "painter.onnx": (b"\x08\x08", "ONNX"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_in_place_of_a_picture(tmp_path: Path, name: str) -> None:
    path, (head, said) = tmp_path / name, OTHERS[name]
    path.write_bytes(head + bytes(64))
    with pytest.raises(ImpastoError, match=f"{name} {said}" if said.startswith("is") else said):
        open_picture(path)


@pytest.mark.parametrize(
    "load",
    [load_network, load_upscaler, load_encoder, lambda name: StyleFile.load(Path(name))],
    ids=["network", "upscaler", "encoder", "style file"],
)
@pytest.mark.parametrize("name", ["photo.png", "clip.mp4"])
def test_in_place_of_weights(tmp_path: Path, load: Any, name: str) -> None:
    path = tmp_path / name
    PICTURE.save(path) if name == "photo.png" else path.write_bytes(OTHERS[name][0])
    with pytest.raises(ImpastoError, match=f"{name} is a (picture|film), not a"):
        load(str(path))


def test_a_style_in_place_of_a_network_or_a_film(tmp_path: Path) -> None:
    path = tmp_path / "a.impasto"
    path.write_bytes(STYLE + bytes(64))
    for load in (load_network, load_encoder, lambda name: open_film(Path(name))):
        with pytest.raises(ImpastoError, match=r"a style file, not .*impasto styles add"):
            load(str(path))


def test_a_folder_and_an_animation_name_the_command_that_takes_all(tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match=r"is a folder.*impasto batch"):
        open_picture(tmp_path)
    with pytest.raises(ImpastoError, match="is no file"):
        StyleFile.load(tmp_path)
    PICTURE.save(tmp_path / "a.gif", save_all=True, append_images=[PICTURE.rotate(90)])
    assert open_picture(tmp_path / "a.gif").notes == (
        "first frame of 2 used; impasto film takes them all",
    )


@pytest.mark.parametrize("head", [b"\x89PNG\r\n\x1a\n", b"hello", bytes(99)])
def test_what_is_not_known_is_said_as_before(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "a.png").write_bytes(head)
    with pytest.raises(ImpastoError, match="is not a picture that can be read; save it as PNG"):
        open_picture(tmp_path / "a.png")


@pytest.mark.parametrize("load", [load_network, load_upscaler, load_encoder])
def test_what_may_not_be_read_is_not_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: Any
) -> None:
    (tmp_path / "mine.safetensors").write_bytes(b"closed")
    monkeypatch.setattr(os, "access", lambda *_: False)  # whoever runs this may read all
    with pytest.raises(ImpastoError, match="may not be read; check its permissions"):
        load(tmp_path / "mine.safetensors")
