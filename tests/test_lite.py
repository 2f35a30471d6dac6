"""Pictures without PyTorch are those with it; what cannot be had so is refused by name."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from impasto.apps.cli.recipe import command
from impasto.errors import ImpastoError
from impasto.home import own_bank
from impasto.networks import checkpoint, weights
from impasto.networks.checkpoint import load_network, save_painter
from impasto.networks.loaded import Networks
from impasto.networks.style_bank import StyleBank
from impasto.networks.transform_net import TransformNet, TransformNetConfig
from impasto.pictures.image import read_recipe

pytest.importorskip("onnxruntime", reason="the extra `lite`")
from impasto import lite


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def networks() -> Networks:
    """PyTorch's, in float32."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (checkpoint, weights):
            patch.setattr(module, "best_dtype", lambda _: torch.float32)
        loaded = Networks()
        loaded.painter("painter", "cpu")
        loaded.encoder("compact", "max", "cpu")
    return loaded


def noise(seed: int, *shape: int) -> Image.Image:
    cells = np.random.default_rng(seed).integers(0, 256, (5, 6, *shape[2:]), dtype=np.uint8)
    return Image.fromarray(cells).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)


def grey(seed: int) -> Image.Image:
    return noise(seed, 90, 70, 3).convert("L").convert("RGB")


@pytest.mark.parametrize(
    ("style", "options"),
    [
        ("starry-night", {"method": "fast", "size": 97}),
        ("mosaic", {"method": "arbitrary", "size": 83}),
        (["starry-night", "mosaic"], {"method": "arbitrary", "size": 64, "blend": (0.3, 0.7)}),
        ("starry-night", {"method": "fast", "size": 71, "strength": 0.4, "style_scale": 0.7}),
        ("starry-night", {"method": "fast", "size": 75, "style_scale": 1.6}),
        (grey(2), {"method": "arbitrary", "size": 66}),
    ],
)
def test_a_picture_is_pytorchs(style: Any, options: dict[str, Any], networks: Networks) -> None:
    photo = noise(0, 123, 91, 3)
    expected = impasto.stylize(photo, style, networks=networks, device="cpu", **options)
    found = lite.stylize(photo, style, **options)
    assert found.size == expected.size
    assert np.abs(np.asarray(found).astype(int) - np.asarray(expected)).max() <= 2


def test_transparency_stays(networks: Networks) -> None:
    photo = noise(1, 130, 100, 4)
    options: dict[str, Any] = {"method": "fast", "size": 90}
    found = lite.stylize(photo, "starry-night", **options)
    expected = impasto.stylize(photo, "starry-night", networks=networks, device="cpu", **options)
    assert found.mode == "RGBA"
    assert np.abs(np.asarray(found).astype(int) - np.asarray(expected)).max() <= 2


def test_the_noise_field_is_pytorchs() -> None:
    expected = torch.randn(4, 512, 512, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.from_numpy(lite.noise_field(4)), expected)


def test_the_command_never_loads_pytorch(tmp_path: Path) -> None:
    noise(0, 80, 100, 3).save(tmp_path / "photo.png")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "for name in ('apps.cli.train', 'apps.cli.see', 'training'): sys.modules[f'impasto.{name}'] = None\n"
        "from impasto.apps.cli.main import main\n"
        "main(sys.argv[1:])"
    )
    args = ["stylize", "photo.png", "starry-night", "--method", "fast", "--engine", "onnx"]
    run = [sys.executable, "-c", code, *args, "--size", "64", "-o", "out.png", "--strength", "0.5"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "out.png\n"), done.stderr
    recipe = read_recipe(tmp_path / "out.png")
    assert recipe is not None
    assert recipe["engine"] == "onnx"
    assert recipe["strength"] == 0.5
    assert json.dumps(recipe)
    assert "--engine onnx" in str(command(recipe, "again.png"))


def refusal(style: Any = "starry-night", **options: Any) -> str:
    with pytest.raises(ImpastoError) as error:
        lite.stylize(noise(0, 80, 100, 3), style, **({"method": "fast", "size": 64} | options))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "optimize"}, "has no `method=optimize`"),
        ({"keep_color": "luminance"}, "`keep_color` has no effect with `engine=onnx`"),
        ({"colors_only": True}, "`colors_only` has no effect"),
        ({"refine": 3}, "`refine` has no effect"),
        ({"steps": 3}, "`steps` has no effect"),
        ({"device": "cuda"}, "`device` has no effect"),
        ({"network": "none.safetensors"}, "no network 'none.safetensors'"),
        ({"style": "nobody"}, "no learned style 'nobody'"),
        ({"style": "starry-night@000000000000"}, "was learned anew since"),
        ({"style": noise(1, 40, 40, 3)}, "`method=fast` paints the styles it has learned"),
        ({"style": noise(1, 40, 40, 4), "method": "arbitrary"}, "no style with transparency"),
        ({"style": ["starry-night"] * 2, "blend": (1,)}, "`blend` has 1 weights for 2 styles"),
    ],
)
def test_what_this_engine_cannot_is_refused(options: dict[str, Any], said: str) -> None:
    assert said in refusal(**options)


def test_pytorchs_api_sends_to_this_one() -> None:
    with pytest.raises(ImpastoError, match=r"`engine=onnx`.*impasto\.lite\.stylize"):
        impasto.plan("cat", ["starry-night"], method="fast", engine="onnx")


def test_a_style_of_ones_own_is_known(networks: Networks) -> None:
    painter = networks.painter("painter", "cpu")
    bank = StyleBank(painter.bank.network).learned(
        "mine", painter.bank.vector("starry-night") * 0.5
    )
    bank.save(own_bank())
    named = f"mine@{bank.digest('mine')}"
    own = lite.stylize(noise(0, 80, 100, 3), named, method="fast", size=64)
    expected = impasto.stylize(
        noise(0, 80, 100, 3), "mine", networks=networks, method="fast", size=64, device="cpu"
    )
    assert np.abs(np.asarray(own).astype(int) - np.asarray(expected)).max() <= 2


def test_a_network_of_another_shape_is_refused(tmp_path: Path) -> None:
    net = TransformNet(TransformNetConfig(channels=(8, 8, 8), blocks=(0, 1, 0)))
    bank = StyleBank("").learned("one", torch.zeros(net.vector_size))
    painter = checkpoint.Painter(net, bank)
    save_painter(tmp_path / "small.safetensors", painter)
    said = refusal("one", network=str(tmp_path / "small.safetensors"))
    assert said.startswith("`engine=onnx` knows networks of the embedded one's shape only")
    assert load_network(tmp_path / "small.safetensors").bank.names == ("one",)
