"""Draws the graphs of `impasto.lite` into the package: painter and style reader, without weights.

python tools/lite_graphs.py

They must be drawn anew when the embedded network has another shape, not when it is trained further.
"""

import json
from dataclasses import asdict
from pathlib import Path

import torch

import impasto
from impasto.export.onnx import painter_model, reader_model, save_model, without_weights
from impasto.networks.checkpoint import load_network
from impasto.networks.weights import load_encoder

ASSETS = Path(impasto.__file__).parent / "assets"


def main() -> None:
    painter = load_network(device="cpu", dtype=torch.float32)
    encoder = load_encoder(painter.encoder, device="cpu", dtype=torch.float32)
    assert painter.predictor is not None
    for name, model, said in (
        ("painter", painter_model(painter), {"transformer": asdict(painter.transform_net.config)}),
        (
            "reader",
            reader_model(painter, encoder),
            {"encoder": painter.encoder, "predictor": asdict(painter.predictor.config)},
        ),
    ):
        graph, shapes = without_weights(model)
        save_model(graph, ASSETS / f"{name}.onnx")
        text = json.dumps({**said, "weights": shapes}, indent=1)
        (ASSETS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
