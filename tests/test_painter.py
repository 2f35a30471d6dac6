"""Banks of styles and painters on disk: exact round trips, fingerprints, and files that are none of
ours.
"""

import json
import os
import pickle
import secrets
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.home import own_bank
from impasto.networks.checkpoint import Painter, fingerprint, load_network, save_painter
from impasto.networks.style_bank import StyleBank, check_name
from impasto.networks.style_predictor import StylePredictor, StylePredictorConfig
from impasto.networks.transform_net import TransformNet, TransformNetConfig

TINY = TransformNetConfig(channels=(8, 8, 8), blocks=(1, 1, 1))


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def transform_net(seed: int = 0) -> TransformNet:
    torch.manual_seed(seed)
    return TransformNet(TINY)


def painter(*, predictor: bool = True, identity: bool = True, bank: bool = True) -> Painter:
    net = transform_net()
    size = net.vector_size
    reader = (
        StylePredictor(StylePredictorConfig(20, size, components=8, hidden=6, embedding=4))
        if predictor
        else None
    )
    if reader is not None:
        reader.fit_pca(normal(30, 20))
    styles = StyleBank(fingerprint(net))
    if bank:
        styles = styles.learned("harbour", normal(size, seed=2), "at night").learned(
            "sea", normal(size, seed=3)
        )
    return Painter(
        net,
        styles,
        reader,
        normal(size, seed=4) if identity else None,
        encoder="vgg19",
        recipe={"steps": 7, "data": ["photos"]},
        licence="CC0",
    )


def bank() -> StyleBank:
    extreme = torch.tensor([1e-42, -0.0, 3e38, 1 / 3])
    return StyleBank("0123456789abcdef", {"sea": extreme}, {"sea": "an étude"}).learned(
        "harbour", normal(4), "oil"
    )


def loaded(path: Path) -> Painter:
    return load_network(path, device="cpu", dtype=torch.float32)


def stored(path: Path) -> dict[str, bytes]:
    """The bytes of every tensor, read as the format is specified."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    entries = json.loads(content[8 : 8 + length])
    entries.pop("__metadata__", None)
    begin = 8 + length
    return {
        key: content[begin + at["data_offsets"][0] : begin + at["data_offsets"][1]]
        for key, at in entries.items()
    }


def same(a: dict[str, Tensor] | Any, b: dict[str, Tensor] | Any) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


class Trap:
    """Unpickled, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


# -------------------------------------------------------------------------------------------- bank


def test_a_bank_comes_back_from_disk_exactly(tmp_path: Path) -> None:
    kept = bank()
    kept.save(tmp_path / "styles.safetensors")
    found = StyleBank.load(tmp_path / "styles.safetensors")
    assert (found.network, found.notes, found.names) == (
        kept.network,
        kept.notes,
        ("harbour", "sea"),
    )
    assert same(found.vectors, kept.vectors)
    assert found.vector("sea").signbit().tolist() == [False, True, False, False]
    assert all(vector.dtype == torch.float32 for vector in found.vectors.values())
    assert [path.name for path in tmp_path.iterdir()] == ["styles.safetensors"]


def test_an_empty_bank_is_a_bank(tmp_path: Path) -> None:
    StyleBank("abc").save(tmp_path / "none.safetensors")
    assert StyleBank.load(tmp_path / "none.safetensors") == StyleBank("abc")


def test_a_style_more_leaves_the_bytes_of_the_others_alone(tmp_path: Path) -> None:
    path = tmp_path / "styles.safetensors"
    bank().save(path)
    before = stored(path)
    assert before.keys() == {"style.harbour", "style.sea"}
    StyleBank.load(path).learned("alley", normal(4, seed=9)).save(path)
    after = stored(path)
    assert after.keys() == before.keys() | {"style.alley"}
    assert all(after[key] == value for key, value in before.items())


def test_learning_makes_a_new_bank(tmp_path: Path) -> None:
    kept, vector = bank(), normal(4, seed=5)
    more = kept.learned("alley", vector, "new").learned("sea", vector.half())
    expected = vector.clone()
    vector.zero_()  # the bank has a copy
    assert torch.equal(more.vector("alley"), expected)
    assert torch.equal(more.vector("sea"), expected.half().float())
    assert (more.names, more.notes["alley"], more.notes["sea"]) == (
        ("alley", "harbour", "sea"),
        "new",
        "",
    )
    assert kept.names == ("harbour", "sea")
    assert same(kept.vectors, bank().vectors)
    assert kept.notes == bank().notes


def test_rows_of_one_matrix_can_be_kept(tmp_path: Path) -> None:
    rows = normal(2, 4).requires_grad_()
    StyleBank("abc", {"a": rows[0], "b": rows[1], "c": rows[1]}).save(tmp_path / "rows.safetensors")
    found = StyleBank.load(tmp_path / "rows.safetensors")
    assert same(found.vectors, {"a": rows[0], "b": rows[1], "c": rows[1]})


def test_an_unknown_style_is_answered_with_those_there_are() -> None:
    with pytest.raises(ImpastoError, match=r"'dunes'.*harbour, sea"):
        bank().vector("dunes")
    with pytest.raises(ImpastoError, match="none yet"):
        StyleBank("abc").vector("dunes")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            ".",
            "..",
            "a/b",
            "a\\b",
            "../a",
            "/a",
            "a:b",
            ".hidden",
            "-o",
            "_",
            "a b",
            "a\n",
            "x" * 65,
        ),
        *(
            "night.png",
            "NIGHT.JPG",
            "night.jpeg",
            "night.webp",
            "night.tif",
            "night.tiff",
            "night.avif",
            "night.gif",
        ),
    ],
)
def test_names_that_could_be_paths_options_or_pictures_are_refused(name: str) -> None:
    with pytest.raises(ImpastoError, match="cannot be called") as error:
        check_name(name)
    assert "\n" not in str(error.value)
    with pytest.raises(ImpastoError, match="cannot be called"):
        StyleBank("abc").learned(name, normal(4))


@pytest.mark.parametrize("name", ["a", "night-harbour", "étude_2", "v1.2", "7", "x" * 64])
def test_other_names_are_taken(name: str, tmp_path: Path) -> None:
    assert check_name(name) == name
    StyleBank("abc").learned(name, normal(4)).save(tmp_path / "bank")
    assert StyleBank.load(tmp_path / "bank").names == (name,)


def test_banks_join_where_they_speak_to_one_network() -> None:
    kept = bank()
    other = (
        StyleBank(kept.network)
        .learned("sea", normal(4, seed=6), "another sea")
        .learned("alley", normal(4, seed=7))
    )
    both = kept.joined(other)
    assert both.names == ("alley", "harbour", "sea")
    assert torch.equal(both.vector("sea"), other.vector("sea"))
    assert torch.equal(both.vector("harbour"), kept.vector("harbour"))
    assert both.notes == {"alley": "", "harbour": "oil", "sea": "another sea"}
    assert same(
        kept.joined(StyleBank("another")).vectors, kept.vectors
    )  # nothing in it that could mean anything else
    with pytest.raises(ImpastoError, match="another network"):
        kept.joined(replace(other, network="another"))


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (None, "holds no bank"),
        ({"kind": "impasto painter", "network": "abc", "notes": "{}"}, "holds no bank"),
        ({"kind": "impasto bank", "notes": "{}"}, "network"),
        ({"kind": "impasto bank", "network": "abc"}, "notes"),
        ({"kind": "impasto bank", "network": "abc", "notes": "{"}, "can be read"),
        ({"kind": "impasto bank", "network": "abc", "notes": "[3]"}, "can be read"),
        ({"kind": "impasto bank", "network": "abc", "notes": "3"}, "can be read"),
    ],
)
def test_other_files_are_no_banks(header: dict[str, str] | None, said: str, tmp_path: Path) -> None:
    save_file({"style.sea": normal(4)}, tmp_path / "x.safetensors", header)
    with pytest.raises(ImpastoError, match=said) as error:
        StyleBank.load(tmp_path / "x.safetensors")
    assert "x.safetensors" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kept", [0, 4, 40, 0.5, -1])
def test_half_a_bank_is_none(kept: float, tmp_path: Path) -> None:
    path = tmp_path / "styles.safetensors"
    bank().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(ImpastoError, match=r"styles\.safetensors.*can be read.*move it") as error:
        StyleBank.load(path)
    assert "\n" not in str(error.value)


def test_folders_missing_files_and_pickles_are_no_banks(tmp_path: Path) -> None:
    (tmp_path / "pickle").write_bytes(pickle.dumps(Trap(tmp_path / "trap")))
    for name in (".", "nothing", "pickle"):
        with pytest.raises(ImpastoError, match=r"can be read|a pickle of Python"):
            StyleBank.load(tmp_path / name)
    assert not (tmp_path / "trap").exists()


def test_the_users_bank_lives_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "mine"))
    assert own_bank() == tmp_path / "mine" / "styles.safetensors"
    for unset in (
        lambda: monkeypatch.setenv("IMPASTO_HOME", ""),
        lambda: monkeypatch.delenv("IMPASTO_HOME"),
    ):
        unset()
        assert own_bank() == Path.home() / ".impasto" / "styles.safetensors"


# ----------------------------------------------------------------------------------------- painter


@pytest.mark.parametrize("bank", [False, True])
@pytest.mark.parametrize("identity", [False, True])
@pytest.mark.parametrize("predictor", [False, True])
def test_a_painter_comes_back_rounded_once(
    predictor: bool, identity: bool, bank: bool, tmp_path: Path
) -> None:
    kept = painter(predictor=predictor, identity=identity, bank=bank)
    save_painter(tmp_path / "first", kept)
    first = loaded(tmp_path / "first")
    save_painter(tmp_path / "second", first)
    assert stored(tmp_path / "second") == stored(tmp_path / "first")

    def parts(of: Painter) -> dict[str, Tensor]:
        found = {"t." + key: value for key, value in of.transform_net.state_dict().items()}
        found |= (
            {"p." + key: value for key, value in of.predictor.state_dict().items()}
            if of.predictor
            else {}
        )
        return (
            found
            | {"b." + key: value for key, value in of.bank.vectors.items()}
            | _named("identity", of.identity)
        )

    assert same(parts(first), {key: value.half().float() for key, value in parts(kept).items()})
    assert first.transform_net.config == kept.transform_net.config
    assert (first.predictor and first.predictor.config) == (
        kept.predictor and kept.predictor.config
    )
    for field in ("encoder", "recipe", "licence"):
        assert getattr(first, field) == getattr(kept, field)
    assert first.bank.notes == kept.bank.notes
    assert first.bank.network == kept.bank.network == fingerprint(first.transform_net)


def _named(name: str, value: Tensor | None) -> dict[str, Tensor]:
    return {} if value is None else {name: value}


def test_what_is_loaded_is_frozen_and_in_the_type_asked_for(tmp_path: Path) -> None:
    save_painter(tmp_path / "x", painter())
    found = load_network(tmp_path / "x", device="cpu", dtype=torch.bfloat16)
    assert found.device == torch.device("cpu")
    assert found.predictor is not None
    assert {p.dtype for p in found.transform_net.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in (*found.predictor.parameters(), *found.predictor.buffers())} == {
        torch.float32
    }
    for net in (found.transform_net, found.predictor):
        assert not net.training
        assert not any(p.requires_grad for p in net.parameters())


def test_a_loaded_painter_paints_as_the_one_that_was_saved(tmp_path: Path) -> None:
    kept = painter()
    save_painter(tmp_path / "x", kept)
    rounded = TransformNet(TINY)
    rounded.load_state_dict(
        {key: value.half().float() for key, value in kept.transform_net.state_dict().items()}
    )
    photo, vector = torch.rand(1, 3, 24, 32), normal(1, rounded.vector_size)
    with torch.no_grad():
        assert torch.equal(
            loaded(tmp_path / "x").transform_net(photo, vector), rounded(photo, vector)
        )


def test_a_fingerprint_is_of_every_weight() -> None:
    net = transform_net()
    seen = {fingerprint(net)}
    assert fingerprint(transform_net()) in seen
    for parameter in net.parameters():
        with torch.no_grad():
            last = parameter.view(-1)[-1]
            last += 2**-8 * last.abs() + 1e-6
        assert fingerprint(net) not in seen
        seen.add(fingerprint(net))
    assert all(len(each) == 16 and int(each, 16) >= 0 for each in seen)


def test_a_fingerprint_is_of_the_weights_as_they_are_stored() -> None:
    net = transform_net()
    before = fingerprint(net)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(parameter.half())
    assert fingerprint(net) == before


def test_the_header_says_what_the_file_is(tmp_path: Path) -> None:
    kept = painter()
    save_painter(tmp_path / "x", kept)
    with safe_open(str(tmp_path / "x"), framework="pt") as file:
        header = file.metadata()
        assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.float16}  # noqa: SIM118
    config = json.loads(header["config"])
    assert config["transformer"] == {
        "channels": [8, 8, 8],
        "blocks": [1, 1, 1],
        "entry": 5,
        "leave": 9,
        "noise": 4,
        "context": 8,
    }
    assert config["predictor"]["description"] == 20
    assert json.loads(header["recipe"]) == kept.recipe
    assert json.loads(header["notes"]) == {"harbour": "at night", "sea": ""}
    assert (header["kind"], header["encoder"], header["licence"]) == (
        "impasto painter",
        "vgg19",
        "CC0",
    )
    save_painter(tmp_path / "bare", Painter(kept.transform_net, StyleBank(kept.bank.network)))
    assert loaded(tmp_path / "bare").licence == "not stated"


@pytest.mark.parametrize("kept", [0, 7, 100, 0.3, 0.999])
def test_half_a_painter_is_none(kept: float, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_painter(path, painter())
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(
        ImpastoError, match=r"x\.safetensors is not a painter that can be read"
    ) as error:
        load_network(path)
    assert "\n" not in str(error.value)


CHANGES: dict[str, dict[str, Any]] = {
    "no config": {"config": None},
    "no recipe": {"recipe": None},
    "no licence": {"licence": None},
    "a list for a config": {"config": "[]"},
    "a number for a config": {"config": '{"transformer": 3}'},
    "a shape with an unknown part": {"config": '{"transformer": {"wings": 2}}'},
    "a shape of too few parts": {"config": '{"transformer": {"channels": [8, 8]}}'},
    "a shape of another network": {
        "config": '{"transformer": {"channels": [8, 8, 16], "blocks": [1, 1, 1]}}'
    },
    "no JSON": {"recipe": "{"},
    "weights missing": {"transformer.leave.weight": None},
    "a part of the predictor missing": {"predictor.center": None},
    "a predictor for another network": {"predictor.speak.bias": torch.zeros(9)},
    "a style of another network": {"style.sea": torch.zeros(9)},
    "styles of too many axes": {"style.sea": torch.zeros(1, 9)},
    "an identity vector of another network": {"own": torch.zeros(9)},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_does_not_fit_together_is_no_painter(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_painter(path, painter())
    with safe_open(str(path), framework="pt") as file:
        header = file.metadata()
    tensors = load_file(path)
    for name, value in change.items():
        part: dict[str, Any] = header if name in header else tensors
        part.pop(name)
        if value is not None:
            part[name] = value
    save_file(tensors, path, header)
    with pytest.raises(
        ImpastoError, match=r"x\.safetensors is not a painter that can be read"
    ) as error:
        load_network(path)
    assert "\n" not in str(error.value)


def test_other_files_are_no_painters(tmp_path: Path) -> None:
    bank().save(tmp_path / "bank.safetensors")
    save_file({"a": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    for name in ("bank", "foreign"):
        with pytest.raises(
            ImpastoError, match=rf"^{name}\.safetensors holds no painter; give a file"
        ):
            load_network(tmp_path / f"{name}.safetensors")
    for name in ("nothing.safetensors", "no-such-network", str(tmp_path)):
        with pytest.raises(ImpastoError, match="`network`"):
            load_network(name)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    trap = Trap(tmp_path / "trap")
    (tmp_path / "plain.safetensors").write_bytes(pickle.dumps(trap))
    torch.save(trap, tmp_path / "torch.safetensors")
    for name in ("plain", "torch"):
        with pytest.raises(ImpastoError, match=r"is a pickle of Python.*safetensors"):
            load_network(tmp_path / f"{name}.safetensors")
    assert not (tmp_path / "trap").exists()
    pickle.loads((tmp_path / "plain.safetensors").read_bytes())
    assert (tmp_path / "trap").exists(), "the trap works"


@pytest.mark.parametrize(
    "save", [lambda path: bank().save(path), lambda path: save_painter(path, painter())]
)
def test_a_failing_save_leaves_what_was_there(
    save: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old.safetensors"
    old.write_bytes(b"what was there")
    monkeypatch.setattr(secrets, "token_hex", lambda _: "x")
    (tmp_path / ".impasto-x.partial").mkdir()  # in the way of what is not yet finished
    (tmp_path / "folder").mkdir()
    for path in (old, tmp_path / "folder", tmp_path / "missing" / "x"):
        with pytest.raises(ImpastoError, match=r"cannot be written.*choose another place") as error:
            save(path)
        assert "\n" not in str(error.value)
    assert old.read_bytes() == b"what was there"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".impasto-x.partial",
        "folder",
        "old.safetensors",
    ]
    (tmp_path / ".impasto-x.partial").rmdir()
    new = tmp_path / "new.safetensors"
    save(new)
    assert stored(new)
    assert new.stat().st_mode == old.stat().st_mode, "readable by whom the umask says"


def test_a_painter_learns_styles_of_its_own_network_only() -> None:
    kept = painter()
    more = StyleBank(kept.bank.network).learned("alley", normal(kept.transform_net.vector_size))
    knowing = kept.knowing(more)
    assert knowing.bank.names == ("alley", "harbour", "sea")
    assert kept.bank.names == ("harbour", "sea")
    assert knowing.transform_net is kept.transform_net
    with pytest.raises(ImpastoError, match="another network"):
        kept.knowing(replace(more, network="another"))


def test_the_embedded_painter_is_whole() -> None:
    found = load_network(device="cpu", dtype=torch.float32)
    assert found.predictor is not None
    assert found.encoder == "compact"
    assert found.licence != "not stated"
    assert found.bank.network == fingerprint(found.transform_net)
    assert found.bank.notes.keys() <= set(found.bank.names)
    tensors = [
        *found.transform_net.parameters(),
        *found.predictor.state_dict().values(),
        *found.bank.vectors.values(),
    ]
    assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors)
