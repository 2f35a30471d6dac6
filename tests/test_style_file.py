"""Styles as files: round trips, what is refused, and the hub, which a local server plays."""

import hashlib
import http.server
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from impasto.apps.cli import main as cli
from impasto.errors import ImpastoError, InputError, OptionError, WeightsError
from impasto.home import own_bank
from impasto.networks.grams import LowRank, StyleGrams
from impasto.networks.header import known_grams, learned_styles, network_header, read_header
from impasto.networks.style_bank import Credit, StyleBank
from impasto.networks.style_file import StyleFile, locate

CREDIT = Credit("M. Rivers", "CC BY 4.0")


def low_rank(width: int = 6, rank: int = 2, sizes: int = 2) -> LowRank:
    some = torch.Generator().manual_seed(1)
    shapes = ((width, rank), (sizes, rank, rank), (sizes, width), (sizes,))
    return LowRank(*(torch.rand(shape, generator=some) for shape in shapes))


GRAMS = StyleGrams((8, 16), {"relu1_1": low_rank()}, "f" * 16)


@pytest.fixture
def style() -> StyleFile:
    vector = torch.randn(50, generator=torch.Generator().manual_seed(0))
    thumbnail = Image.linear_gradient("L").convert("RGB").resize((300, 200))
    return StyleFile("harbour", vector, "0123456789abcdef", thumbnail, "of boats", CREDIT, GRAMS)


def test_a_style_comes_back_as_it_went(style: StyleFile, tmp_path: Path) -> None:
    style.save(tmp_path / "a.impasto")
    found = StyleFile.load(tmp_path / "a.impasto")
    assert (found.name, found.network, found.note, found.credit) == (
        "harbour",
        style.network,
        "of boats",
        CREDIT,
    )
    assert torch.equal(found.vector, style.vector)
    assert found.thumbnail.size == (256, 171)
    found.save(tmp_path / "b.impasto")
    assert torch.equal(StyleFile.load(tmp_path / "b.impasto").vector, style.vector)


def test_a_bank_keeps_whose_a_style_is(style: StyleFile, tmp_path: Path) -> None:
    bank = StyleBank(style.network).learned("mine", torch.zeros(50))
    style.joined(bank).save(tmp_path / "bank.safetensors")
    found = StyleBank.load(tmp_path / "bank.safetensors")
    assert found.names == ("harbour", "mine")
    assert dict(found.credits) == {"harbour": CREDIT}
    again = StyleFile.of(found, "harbour", style.thumbnail, Credit(licence="CC0"))
    assert again.credit == Credit("M. Rivers", "CC0")
    assert again.note == "of boats"
    assert not found.learned("harbour", style.vector).credits, "learned anew, it is one's own"
    with pytest.raises(InputError, match="no learned style 'other'"):
        StyleFile.of(found, "other", style.thumbnail, CREDIT)


def test_what_refinement_needs_goes_along_wherever_the_style_goes(
    style: StyleFile, tmp_path: Path
) -> None:
    file, path = tmp_path / "a.impasto", tmp_path / "bank.safetensors"
    style.save(file)
    StyleFile.load(file).joined(StyleBank(style.network), "port").save(path)
    bank = StyleBank.load(path)
    StyleFile.of(bank, "port", style.thumbnail, CREDIT).save(file)
    found = StyleFile.load(file).grams
    assert found is not None
    assert (found.sizes, found.encoder) == (GRAMS.sizes, GRAMS.encoder)
    torch.testing.assert_close(found.at("relu1_1", 11), GRAMS.at("relu1_1", 11), rtol=2e-3, atol=0)
    assert read_header(path).grams == {"port": GRAMS.encoder}
    assert not bank.learned("port", style.vector).grams, "of another painting, maybe"
    assert bank.learned("other", style.vector).grams.keys() == {"port"}
    replace(style, grams=None).save(file)
    assert StyleFile.load(file).grams is None


@pytest.mark.parametrize(
    "grams",
    [
        StyleGrams((8, 16, 32), GRAMS.layers, ""),
        StyleGrams((16, 8), GRAMS.layers, ""),
        StyleGrams((), {"relu1_1": low_rank(sizes=0)}, ""),
        StyleGrams((8, 16), {"relu1_1": replace(low_rank(), basis=torch.rand(6, 3))}, ""),
        StyleGrams(
            (8, 16), {"relu1_1": replace(low_rank(), traces=torch.full((2,), torch.nan))}, ""
        ),
        StyleGrams((8, 16), {}, ""),
    ],
)
def test_damaged_gram_matrices_are_refused(
    style: StyleFile, grams: StyleGrams, tmp_path: Path
) -> None:
    replace(style, grams=grams).save(tmp_path / "a.impasto")
    with pytest.raises(WeightsError, match="not a style that can be read"):
        StyleFile.load(tmp_path / "a.impasto")


def test_a_style_of_another_network_is_refused(style: StyleFile) -> None:
    with pytest.raises(WeightsError, match="harbour was learned for another network"):
        style.joined(StyleBank("f" * 16))


def changed(path: Path, **header: str) -> None:
    with safe_open(str(path), framework="pt") as file:
        kept = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        said = {**file.metadata(), **header}
    save_file(kept, path, {key: value for key, value in said.items() if value})


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"kind": "impasto bank"}, "holds no style"),
        ({"digest": "0" * 12}, "is damaged or was changed"),
        ({"network": ""}, "not a style that can be read"),
        ({"name": "../../etc"}, "a style cannot be called"),
    ],
)
def test_what_was_changed_is_refused(
    style: StyleFile, tmp_path: Path, header: dict[str, str], said: str
) -> None:
    style.save(tmp_path / "a.impasto")
    changed(tmp_path / "a.impasto", **header)
    with pytest.raises(ImpastoError, match=said):
        StyleFile.load(tmp_path / "a.impasto")


def test_a_pickle_and_what_is_no_picture_are_refused(style: StyleFile, tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "p.impasto").write_bytes(pickle.dumps(Runs()))
    with pytest.raises(WeightsError, match="a pickle of Python, not a style file"):
        StyleFile.load(tmp_path / "p.impasto")
    assert not (tmp_path / "ran").exists()
    style.save(tmp_path / "a.impasto")
    with safe_open(str(tmp_path / "a.impasto"), framework="pt") as file:
        header, vector = file.metadata(), file.get_tensor("vector")
    for bytes_ in (torch.zeros(40, dtype=torch.uint8), torch.zeros(3)):
        save_file({"vector": vector, "thumbnail": bytes_}, tmp_path / "b.impasto", header)
        with pytest.raises(ImpastoError, match="thumbnail"):
            StyleFile.load(tmp_path / "b.impasto")
    with pytest.raises(WeightsError, match="is no file"):
        StyleFile.load(tmp_path / "missing.impasto")
    with pytest.raises(OptionError, match=r"does not end in \.impasto"):
        style.save(tmp_path / "a.png")


# ------------------------------------------------------------------------------------------ the hub


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """A hub at this machine: revision and path in `user/styles` -> content; of what begins with
    `cut` the half arrives.
    """
    pytest.importorskip("huggingface_hub")
    from huggingface_hub import constants

    files: dict[str, bytes] = {}

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            content = self.answer()
            self.wfile.write(content[: len(content) // 2] if "/cut" in self.path else content)

        def answer(self) -> bytes:
            place = self.path.removeprefix("/user/styles/resolve/")
            content, revision = files.get(place), place.partition("/")[0]
            self.send_response(404 if content is None else 200)
            if place == self.path:
                self.send_header("X-Error-Code", "RepoNotFound")
            elif content is None:
                known = any(each.startswith(f"{revision}/") for each in files)
                self.send_header("X-Error-Code", f"{'Entry' if known else 'Revision'}NotFound")
            else:
                self.send_header("ETag", hashlib.sha256(content).hexdigest())
                self.send_header("X-Repo-Commit", hashlib.sha1(revision.encode()).hexdigest())
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            return content or b""

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as hub:
        threading.Thread(target=hub.serve_forever, args=(0.01,), daemon=True).start()
        here = f"http://127.0.0.1:{hub.server_address[1]}"
        monkeypatch.setenv("HF_ENDPOINT", here)  # for processes of their own
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setattr(constants, "ENDPOINT", here)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            here + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield files
        hub.shutdown()


def test_a_style_comes_from_the_hub(
    style: StyleFile, server: dict[str, bytes], tmp_path: Path
) -> None:
    style.save(tmp_path / "a.impasto")
    server["main/sea/harbour.impasto"] = (tmp_path / "a.impasto").read_bytes()
    path = locate("hf://user/styles/sea/harbour.impasto")
    assert StyleFile.load(path).credit == CREDIT
    path.resolve().write_bytes(b"other")
    with pytest.raises(WeightsError, match="damaged"):
        locate("hf://user/styles/sea/harbour.impasto")


def test_a_style_of_a_revision_stays_what_it_is(server: dict[str, bytes]) -> None:
    server |= {"main/a.impasto": b"new", "v1/a.impasto": b"old"}
    assert locate("hf://user/styles/a.impasto").read_bytes() == b"new"
    assert locate("hf://user/styles@v1/a.impasto").read_bytes() == b"old"
    server.clear()
    assert locate("hf://user/styles@v1/a.impasto").read_bytes() == b"old", "from the cache"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "hf://user/styles/none.impasto",
            "cannot fetch none.impasto of user/styles: .* no such file",
        ),
        ("hf://user/styles@v2/a.impasto", "has no revision v2"),
        ("hf://user/others/a.impasto", "no such repository"),
        # The hub's client tries again, and again.
        pytest.param("hf://user/styles/cut.impasto", "broke off", marks=pytest.mark.slow),
        ("hf://user/styles@/a.impasto", "names no revision"),
    ],
)
def test_what_the_hub_has_not_is_said(source: str, said: str, server: dict[str, bytes]) -> None:
    server |= {"main/a.impasto": b"content", "main/cut.impasto": bytes(1000)}
    with pytest.raises(ImpastoError, match=said) as error:
        locate(source)
    assert "\n" not in str(error.value)


def test_no_network_is_said(server: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    nobody = "http://127.0.0.1:1/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", nobody)
    with pytest.raises(WeightsError, match="no network"):
        locate("hf://user/styles/a.impasto")


@pytest.mark.slow
def test_the_command_adds_a_style_of_the_hub(
    server: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As typed, by the hub's own variable; a second time without a hub."""
    name = next(iter(network_header().styles))
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))

    def run(*args: str) -> tuple[int, str, int]:
        line = [sys.executable, "-m", "impasto", "styles", *args]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr.count("\n")

    run("export", name, "a.impasto", "--author", "A", "--licence", "MIT")
    server["v1/a.impasto"] = (tmp_path / "a.impasto").read_bytes()
    assert run("add", "hf://user/styles@v1/a.impasto", "--name", "port") == (0, "port\n", 1)
    assert run("add", "hf://user/styles/a.impasto", "--name", "other") == (2, "", 1)
    server.clear()
    assert run("add", "hf://user/styles@v1/a.impasto", "--name", "again") == (0, "again\n", 1)
    assert {"port", "again"} <= {each.name for each in learned_styles()}


@pytest.mark.parametrize("source", ["hf://user/styles", "hf://user//x.impasto", "hf://a/../b"])
def test_what_is_no_address_is_refused(source: str) -> None:
    with pytest.raises(OptionError, match="names no file of the hub"):
        locate(source)


# --------------------------------------------------------------------------------- the command line


def test_from_one_home_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def run(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            cli.main(args)
        return (int(left.value.code or 0), *capfd.readouterr())

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "mine"))
    own_bank().parent.mkdir()
    name = next(iter(network_header().styles))
    code, out, err = run("styles", "export", name, "a.impasto", "--author", "A", "--licence", "MIT")
    assert (code, out, err) == (0, "a.impasto\n", "")
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "theirs"))
    assert run("styles", "add", "a.impasto")[0] == 2, "the network knows one of that name"
    code, out, err = run("styles", "add", "a.impasto", "--name", "port")
    assert (code, out) == (0, "port\n")
    assert err.rstrip().endswith("A; MIT")
    assert StyleBank.load(own_bank()).credits["port"] == Credit("A", "MIT")
    assert "port " in run("styles")[1]
    code, _, err = run("styles", "export", "port", "b.impasto")
    assert (code, err) == (0, "")
    first, second = StyleFile.load(Path("a.impasto")), StyleFile.load(Path("b.impasto"))
    assert first.grams is not None, "of the package"
    assert second.grams is not None
    assert known_grams() > {"port"}
    replace(second, grams=None).save(Path("b.impasto"))
    code, out, err = run("styles", "add", "b.impasto", "--replace")
    assert (code, out) == (0, "port\n")
    assert "cannot be refined" in err
    assert "learn it again" in err
    assert "port" not in known_grams()
    assert torch.equal(first.vector, second.vector)
    assert second.credit == Credit("A", "MIT")
