"""Encoders from the package, from files of every known form, and from a hub's cache."""

import dataclasses
import hashlib
import json
import os
import secrets
import socket
import time
from importlib import resources
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from impasto.errors import ImpastoError, WeightsError
from impasto.networks.encoder import COMPACT, COMPACT_1, VGG19, Architecture, Encoder
from impasto.networks.weights import (
    HUB,
    encoder_names,
    load_encoder,
    pick_device,
    read_weights,
    write_weights,
)

BLOCKS = ((4, 6), (8,), (10, 4))
TINY = Architecture.vgg(BLOCKS, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))


def weights_of(architecture: Architecture) -> dict[str, Tensor]:
    torch.manual_seed(5)
    net = Encoder(architecture, name="random")
    return {
        key.replace("convs.relu", "conv")
        .replace("heads.relu", "head")
        .removeprefix("convs."): value.clone()
        for key, value in net.state_dict().items()
    }


def image() -> Tensor:
    return torch.rand(1, 3, 40, 48, generator=torch.Generator().manual_seed(1))


def test_the_embedded_encoder_is_what_its_card_says() -> None:
    path = Path(str(resources.files("impasto") / "assets" / "compact.safetensors"))
    assert path.stat().st_size <= 8_000_000
    with safe_open(str(path), framework="pt") as file:
        header = file.metadata()
    assert read_weights(path)[0] == COMPACT_1
    assert "CC BY 4.0" in header["licence"]
    assert {"teachers", "data", "validation"} <= json.loads(header["recipe"]).keys()
    widths = load_encoder(dtype=torch.float32, device="cpu").architecture.widths
    assert all(widths[layer] == VGG19.widths[layer] for layer in widths if layer.endswith("_1"))


def test_the_second_edition_is_lighter_and_has_no_pooling_to_choose() -> None:
    second = load_encoder("compact-2", dtype=torch.float32, device="cpu")
    assert second.architecture == COMPACT
    assert second.architecture.widths["relu5_1"] == VGG19.widths["relu5_1"]
    with pytest.raises(ImpastoError, match="pooling"):
        load_encoder("compact-2", pooling="average", device="cpu")


STRIDED = dataclasses.replace(
    COMPACT,
    layers=tuple(dataclasses.replace(layer, width=layer.width // 16) for layer in COMPACT.layers),
)


@pytest.mark.parametrize(
    "of", [TINY, STRIDED, dataclasses.replace(STRIDED, heads=(("relu4_2", 7),))]
)
def test_a_file_with_a_header_is_rebuilt_from_it(tmp_path: Path, of: Architecture) -> None:
    weights = weights_of(of)
    header = {"architecture": json.dumps(dataclasses.asdict(of))}
    save_file(weights, tmp_path / "mine.safetensors", metadata=header)
    loaded = load_encoder(tmp_path / "mine.safetensors", device="cpu", dtype=torch.float32)
    assert loaded.architecture == of
    assert loaded.name == "mine.safetensors"
    expected = Encoder(of, name="").load(weights).features(image(), of.widths)
    found = loaded.features(image(), of.widths)
    assert all(torch.equal(found[layer], expected[layer]) for layer in of.widths)


def test_a_header_of_the_time_when_all_encoders_were_vggs_is_read(tmp_path: Path) -> None:
    header = {"blocks": BLOCKS, "mean": TINY.mean, "std": TINY.std, "padding": "reflect"}
    save_file(
        weights_of(TINY),
        tmp_path / "old.safetensors",
        metadata={"architecture": json.dumps(header)},
    )
    assert load_encoder(tmp_path / "old.safetensors", device="cpu").architecture == TINY


def test_a_bare_vgg_is_understood_by_its_shapes_and_heads(tmp_path: Path) -> None:
    bare = dataclasses.replace(
        TINY, mean=(0.0,) * 3, std=(1.0,) * 3, heads=(("relu2_1", 16), ("relu3_1", 12))
    )
    save_file(weights_of(bare), tmp_path / "bare.safetensors")
    architecture, _ = read_weights(tmp_path / "bare.safetensors")
    assert architecture == bare
    loaded = load_encoder(tmp_path / "bare.safetensors", device="cpu", dtype=torch.float32)
    assert loaded.features(image(), ["relu2_1"])["relu2_1"].shape[1] == 16


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub's cache on disk, as huggingface-hub lays it out, with nothing in it, and no network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path / f"models--{HUB.replace('/', '--')}"


def fill(hub: Path, weights: dict[str, Tensor], revision: str = "0" * 40) -> Path:
    """Another commit in the cache, which `main` then means."""
    (hub / "blobs").mkdir(parents=True, exist_ok=True)
    (hub / "refs").mkdir(exist_ok=True)
    snapshot = hub / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (hub / "refs" / "main").write_text(revision)
    save_file(weights, hub / "blobs" / "partial")
    blob = hub / "blobs" / hashlib.sha256((hub / "blobs" / "partial").read_bytes()).hexdigest()
    (hub / "blobs" / "partial").rename(blob)
    (snapshot / "model.safetensors").symlink_to(blob)
    return blob


def torchvision_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """As torchvision and timm store VGG-19, classifier included."""
    numbers = iter((0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34))
    number = {layer.removeprefix("relu"): next(numbers) for layer in VGG19.widths}
    renamed = {
        f"features.{number[key[4:7]]}.{key[8:]}": value.half() for key, value in weights.items()
    }
    return renamed | {"head.fc.weight": torch.zeros(10, 4)}


def test_vgg19_comes_from_the_hubs_cache_and_is_checked(hub: Path) -> None:
    weights = weights_of(VGG19)
    blob = fill(hub, torchvision_names(weights))
    loaded = load_encoder("vgg19", device="cpu", dtype=torch.float32)
    assert loaded.architecture == VGG19
    assert torch.equal(loaded.convs["relu5_4"].weight, weights["conv5_4.weight"].half().float())
    damaged = bytearray(blob.read_bytes())
    damaged[-1] ^= 1
    blob.write_bytes(damaged)
    with pytest.raises(ImpastoError, match=r"damaged.*`encoder="):
        load_encoder("vgg19", device="cpu")


def test_a_revision_of_vgg19_stays_what_it_is(hub: Path) -> None:
    """Without one, whatever the repository holds today."""
    first, second = (torchvision_names(weights_of(VGG19)) for _ in range(2))
    second["features.0.bias"] = second["features.0.bias"] + 1
    fill(hub, first, "a" * 40)
    fill(hub, second, "b" * 40)
    biases = [
        load_encoder(name, device="cpu", dtype=torch.float32).convs["relu1_1"].bias
        for name in ("vgg19@" + "a" * 40, "vgg19@" + "b" * 40, "vgg19")
    ]
    assert torch.equal(biases[0], first["features.0.bias"].float())
    assert torch.equal(biases[1], second["features.0.bias"].float())
    assert torch.equal(biases[1], biases[2])
    with pytest.raises(ImpastoError, match=r"c{40}.*cannot fetch.*`encoder=compact"):
        load_encoder("vgg19@" + "c" * 40, device="cpu")


def test_without_a_network_vgg19_is_refused_with_two_ways_out(hub: Path) -> None:
    with pytest.raises(ImpastoError, match=r"no network.*`encoder=compact.*`encoder=FILE") as error:
        load_encoder("vgg19", device="cpu")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"not a safetensors file", b"\xff" * 64])
def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(ImpastoError, match="not a readable safetensors"):
        load_encoder(tmp_path / "x.safetensors")


def test_other_networks_and_missing_parts_are_refused(tmp_path: Path) -> None:
    save_file({"layer1.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ImpastoError, match="holds no VGG"):
        load_encoder(tmp_path / "other.safetensors")
    weights = weights_of(TINY)
    del weights["conv3_2.bias"]
    save_file(weights, tmp_path / "part.safetensors")
    with pytest.raises(ImpastoError, match=r"conv|relu3_2"):
        load_encoder(tmp_path / "part.safetensors")
    with pytest.raises(ImpastoError, match=", ".join(encoder_names())):
        load_encoder(tmp_path / "nothing.safetensors")


# ------------------------------------------------------------------------------------------ writing


def test_what_was_written_is_read_as_it_was(tmp_path: Path) -> None:
    path, rows = tmp_path / "x.safetensors", torch.rand(4, 6, requires_grad=True)
    tensors = {
        "rows": rows,
        "a row": rows[1],
        "turned": rows.T,
        "half": rows.detach().half(),
        "none": rows[:0],
    }
    write_weights(path, tensors, {"kind": "a test", "notes": "höher"})
    found = load_file(path)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"kind": "a test", "notes": "höher"}
    write_weights(path, {}, {"kind": "empty"})
    assert load_file(path) == {}
    assert os.listdir(tmp_path) == ["x.safetensors"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_is_for_whom_the_umask_says(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_weights(tmp_path / "x.safetensors", {"x": torch.zeros(2)}, {})
    finally:
        os.umask(before)
    assert (tmp_path / "x.safetensors").stat().st_mode & 0o777 == mode


def test_a_file_that_cannot_be_written_leaves_nothing_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, folder = tmp_path / "old", tmp_path / "folder"
    old.write_bytes(b"what was there")
    folder.mkdir()
    monkeypatch.setattr(secrets, "token_hex", lambda _: "x")
    (tmp_path / ".impasto-x.partial").mkdir()  # in the way of what is not yet finished
    before = sorted(os.listdir(tmp_path))
    for path in (old, folder, tmp_path / "missing" / "x"):
        with pytest.raises(ImpastoError, match=r"cannot be written.*choose another place") as error:
            write_weights(path, {"x": torch.zeros(2)}, {})
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
    assert old.read_bytes() == b"what was there"
    assert sorted(os.listdir(tmp_path)) == before


def test_a_device_that_is_not_there_is_refused() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    with pytest.raises(ImpastoError, match="`device=cpu`"):
        pick_device("no-such-device")
    if not torch.cuda.is_available():
        with pytest.raises(ImpastoError, match="`device=cpu`"):
            pick_device("cuda")


def test_a_hub_that_cannot_be_reached_is_asked_once(
    hub: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The hub's own client tries again five times, and says so each time; nor is a silence waited
    for.
    """
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes calls and answers none
        for port, patience in ((silent.getsockname()[1], "0.3"), (9, "2.5")):
            monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", patience)
            monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", URL.format(port))
            begun = time.perf_counter()
            with pytest.raises(WeightsError, match="no vgg19: cannot fetch"):
                load_encoder("vgg19", device="cpu")
            assert time.perf_counter() - begun < 2
    assert capfd.readouterr() == ("", "")


URL = "http://127.0.0.1:{}/{{repo_id}}/{{revision}}/{{filename}}"
