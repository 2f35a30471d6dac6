"""Exported networks: the same pictures as PyTorch's at any size, with what they are inside."""

import json
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from impasto.apps.cli import main as cli
from impasto.errors import OptionError, WeightsError
from impasto.networks.checkpoint import Painter, load_network, save_painter
from impasto.networks.encoder import STYLE_LAYERS, Architecture, Encoder
from impasto.networks.style_bank import StyleBank
from impasto.networks.style_predictor import StylePredictor, StylePredictorConfig
from impasto.networks.transform_net import TransformNet, TransformNetConfig
from impasto.training.painting import seeded

onnx: Any = pytest.importorskip("onnx", reason="the extra `onnx`")
if find_spec("onnxscript") is None:  # which takes long to import
    pytest.skip("the extra `onnx`", allow_module_level=True)
onnxruntime: Any = pytest.importorskip("onnxruntime", reason="the extra `lite`")

from impasto.export import onnx as export  # noqa: E402


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A small network, exported by the command, in halves."""
    folder = tmp_path_factory.mktemp("models")
    with seeded(3):
        net = TransformNet(TransformNetConfig(channels=(8, 12, 16), blocks=(0, 0, 0)))
        for noise in net.noise:
            torch.nn.init.normal_(noise, std=0.3)
        vector = 0.3 * torch.randn(net.vector_size)
    painter = Painter(net, StyleBank("").learned("one", vector), licence="CC0")
    save_painter(folder / "net.safetensors", painter)
    with pytest.raises(SystemExit) as left:
        cli.main(
            [
                *("export", "onnx", str(folder), "--network", str(folder / "net.safetensors")),
                *("--style", "one", "--half"),
            ]
        )
    assert not left.value.code
    loaded = load_network(folder / "net.safetensors", device="cpu", dtype=torch.float32)
    return SimpleNamespace(folder=folder, painter=loaded)


def run(path: Path, **given: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {name: x.numpy() for name, x in given.items()})[0]
    return found


@pytest.mark.parametrize("size", [(16, 16), (31, 57), (97, 40), (130, 121)])
def test_painter_and_style_are_pytorchs(made: SimpleNamespace, size: tuple[int, int]) -> None:
    photo, vector = torch.rand(1, 3, *size), made.painter.bank.vector("one")[None]
    with torch.no_grad():
        expected = made.painter.transform_net(photo, vector).numpy()
    found = run(made.folder / "painter.onnx", photo=photo, vector=vector)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 2 / 255
    assert np.array_equal(run(made.folder / "one.onnx", photo=photo), found)


def test_a_file_says_what_it_is(made: SimpleNamespace) -> None:
    model = onnx.load(str(made.folder / "one.onnx"))
    onnx.checker.check_model(model)
    said = {each.key: each.value for each in model.metadata_props}
    assert (said["kind"], said["style"], said["licence"]) == ("impasto style", "one", "CC0")
    assert said["network"] == made.painter.bank.network
    assert json.loads(said["transformer"])["channels"] == [8, 12, 16]
    assert not [node for node in model.graph.node if node.doc_string or node.metadata_props]
    kinds = {each.name: each.data_type for each in model.graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds.values()
    assert not (made.folder / "reader.onnx").exists(), "it reads nothing"


def test_another_networks_model_is_found_out(made: SimpleNamespace) -> None:
    model = onnx.load(str(made.folder / "painter.onnx"))
    assert export.difference(model, made.painter) < 2 / 255
    with seeded(4):
        other = TransformNet(made.painter.transform_net.config)
    with pytest.raises(WeightsError, match="from PyTorch's; it was not kept"):
        export.difference(model, Painter(other, made.painter.bank))


def test_another_ending_is_refused(made: SimpleNamespace) -> None:
    model = onnx.load(str(made.folder / "painter.onnx"))
    with pytest.raises(OptionError, match=r"does not end in \.onnx"):
        export.save_model(model, made.folder / "painter.bin")


def test_the_reader_is_pytorchs() -> None:
    blocks = ((4,), (6,), (8,), (8,), (8,))
    architecture = Architecture.vgg(blocks, mean=(0.5,) * 3, std=(0.25,) * 3)
    with seeded(5):
        encoder = Encoder(architecture, name="tiny").freeze()
        size = 2 * sum(architecture.widths[layer] for layer in STYLE_LAYERS)
        net = TransformNet(TransformNetConfig(channels=(8, 8, 8), blocks=(0, 0, 0)))
        predictor = StylePredictor(
            StylePredictorConfig(size, net.vector_size, components=8, hidden=8, embedding=4)
        )
        predictor.fit_pca(torch.rand(12, size))
        torch.nn.init.normal_(predictor.speak.weight)
    painter = Painter(net, StyleBank(""), predictor)
    model = export.reader_model(painter, encoder)
    assert export.difference(model, painter, encoder) < 1e-3
    shapes = export.without_weights(model)[1]
    assert shapes["encoder.conv1_1.weight"] == [4, 3, 3, 3]
    with pytest.raises(OptionError, match="only knows styles by name"):
        export.reader_model(Painter(net, StyleBank("")), encoder)
