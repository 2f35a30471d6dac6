"""A network that paints as ONNX files: painter, style reader, and one file for each learned style.

- painter: `photo` `(1, 3, H, W)` in [0, 1], 16 px or more a side, and `vector` `(1, V)` -> `picture`
  of the photo's size. All that `TransformNet` does, noise field included.
- reader: `picture` `(1, 3, H, W)` in [0, 1], 32 px or more a side -> `vector` `(1, V)`.
- a style: the painter with its vector inside; `photo` -> `picture`.

H and W are free. Tensors of weights keep the names they have in the package's own files, so that a
graph can also be stored without weights (`without_weights`) and be given them when it is loaded.
The extra `onnx` holds what this needs.
"""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict
from importlib import metadata
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from impasto.errors import OptionError, WeightsError
from impasto.lite import embedded, session
from impasto.networks.checkpoint import Painter
from impasto.networks.encoder import STYLE_LAYERS, Encoder
from impasto.networks.style_predictor import StylePredictor, encode_style
from impasto.networks.transform_net import noise_field
from impasto.pictures.writing import atomic_write
from impasto.portable import portable

__all__ = [
    "embedded_models",
    "few_outputs",
    "halved",
    "painter_model",
    "reader_model",
    "save_model",
    "style_model",
    "without_weights",
]

OPSET = 18
# Smaller tensors are constants of the graph, and stay in it in full.
_LEAST = 1024
_FEW = 6
_PARTS = ("transformer", "noise_field", "predictor", "encoder")

Model = Any  # onnx.ModelProto; the package is an extra


def _onnx() -> Any:
    try:
        import onnx
    except ImportError:
        raise OptionError(
            "exporting needs onnx and onnxscript; install the extra: pip install 'impasto[onnx]'"
        ) from None
    return onnx


def painter_model(painter: Painter) -> Model:
    """The transform net of a painter on the CPU in float32, see the module."""
    net = painter.transform_net
    photo, vector = torch.rand(1, 3, 72, 88), torch.zeros(1, net.vector_size)
    model = _exported(net, {"photo": photo, "vector": vector}, "picture")
    own = {f"transformer.{key}": value for key, value in net.state_dict().items()}
    if net.config.noise:
        own["noise_field"] = noise_field(net.config.noise, 0, (0, 0), (512, 512))[0]
    _name_weights(model, own)
    said = {"kind": "impasto painter", "transformer": json.dumps(asdict(net.config))}
    return _described(model, painter, said)


def reader_model(painter: Painter, encoder: Encoder) -> Model:
    """The encoder and the predictor of a painter, on the CPU in float32, see the module.

    `OptionError` for a painter that only knows styles by name.
    """
    if painter.predictor is None:
        raise OptionError("this network cannot read a painting, it only knows styles by name")
    reader = _Reader(encoder, painter.predictor)
    model = _exported(reader, {"picture": torch.rand(1, 3, 72, 88)}, "vector")
    own = {f"predictor.{key}": value for key, value in painter.predictor.state_dict().items()}
    _name_weights(model, own | {f"encoder.{k}": v for k, v in encoder.weights().items()})
    return _described(model, painter, {"kind": "impasto reader", "encoder": encoder.name})


def style_model(model: Model, name: str, vector: Tensor) -> Model:
    """A painter's model with that vector, `(V,)`, in it."""
    onnx, found = _onnx(), _copy(model)
    found.graph.initializer.append(
        onnx.numpy_helper.from_array(vector[None].float().numpy(), "vector")
    )
    kept = [each for each in found.graph.input if each.name != "vector"]
    del found.graph.input[:]
    found.graph.input.extend(kept)
    _say(found, {"kind": "impasto style", "style": name})
    return found


def halved(model: Model) -> Model:
    """The same with its weights as float16, half as large.

    It computes in float32: sums over a whole picture, which instance norms are, overflow float16.
    Weights of the package's own files are float16 there, so nothing is lost of them.
    """
    onnx, found = _onnx(), _copy(model)
    casts = []
    for tensor in found.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < _LEAST:
            continue
        values = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        name, half = tensor.name, f"{tensor.name}.half"
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, half))
        casts.append(onnx.helper.make_node("Cast", [half], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *found.graph.node]
    del found.graph.node[:]
    found.graph.node.extend(nodes)
    _say(found, {"precision": "float16 weights, float32 arithmetic"})
    return found


def few_outputs(model: Model) -> Model:
    """The same with a Slice for each part of a wide Split: in WebGPU a computation may have no more
    than eight buffers on some devices, and ten on most.
    """
    onnx, found = _onnx(), _copy(model)
    known = {each.name: each for each in found.graph.initializer}
    nodes = []
    for node in found.graph.node:
        if node.op_type != "Split" or len(node.output) < _FEW:
            nodes.append(node)
            continue
        (axis,) = (each.i for each in node.attribute if each.name == "axis")
        sizes = onnx.numpy_helper.to_array(known[node.input[1]])
        for output, end, size in zip(node.output, np.cumsum(sizes), sizes, strict=True):
            bounds = {"start": end - size, "end": end, "axis": axis}
            for what, value in bounds.items():
                number = np.array([value], dtype=np.int64)
                tensor = onnx.numpy_helper.from_array(number, f"{output}.{what}")
                found.graph.initializer.append(tensor)
            inputs = [node.input[0], *(f"{output}.{what}" for what in bounds)]
            nodes.append(onnx.helper.make_node("Slice", inputs, [output]))
    del found.graph.node[:]
    found.graph.node.extend(nodes)
    return found


def without_weights(model: Model) -> tuple[Model, dict[str, list[int]]]:
    """The graph alone, and the shapes of its weights by name: they are to be given to a session when
    it is made (`SessionOptions.add_external_initializers`). So is the noise field, `noise_field`.
    """
    onnx, found, shapes = _onnx(), _copy(model), {}
    for tensor in found.graph.initializer:
        if tensor.name.partition(".")[0] in _PARTS:
            shapes[tensor.name] = list(tensor.dims)
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="weights")
    return found, shapes


def embedded_models(painter: Painter) -> dict[str, Model]:
    """`painter` and `reader` of the embedded network, from the graphs that ship: in a second, where
    tracing takes twenty.
    """
    onnx, models = _onnx(), {}
    for name, (graph, weights) in embedded().items():
        model = onnx.load_from_string(graph)
        for tensor in model.graph.initializer:
            if tensor.name in weights:
                values = weights[tensor.name].reshape(tuple(tensor.dims))
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        models[name] = _described(model, painter, {})
    return models


def save_model(model: Model, path: Path) -> Path:
    """Write it, all or nothing; `OptionError` where the name does not end in `.onnx`."""
    if path.suffix != ".onnx":
        raise OptionError(f"{path} does not end in .onnx; choose a name that does")
    with atomic_write(path) as partial:
        partial.write_bytes(model.SerializeToString(deterministic=True))
    return path


def difference(model: Model, painter: Painter, encoder: Encoder | None = None) -> float:
    """The largest difference between what a model of this painter and what PyTorch gives, on a
    picture of odd sides.

    `WeightsError` where a picture is further off than two of 255 levels, or a vector than a
    thousandth of its largest number.
    """
    size = (1, 3, 71, 93)
    photo = torch.rand(size, generator=torch.Generator().manual_seed(0))
    said = {each.key: each.value for each in model.metadata_props}
    given = {each.name for each in model.graph.input}
    vector = painter.bank.vector(said["style"]) if "style" in said else None
    if vector is None:
        vector = next(
            iter(painter.bank.vectors.values()), torch.zeros(painter.transform_net.vector_size)
        )
    inputs = {"photo": photo, "picture": photo, "vector": vector[None]}
    with torch.no_grad():
        if "picture" in given:
            assert encoder is not None
            assert painter.predictor is not None
            wanted = _Reader(encoder, painter.predictor)(photo)
            limit = 1e-3 * wanted.abs().max().item()
        else:
            wanted, limit = painter.transform_net(photo, vector[None]), 2 / 255
    (found,) = session(model.SerializeToString()).run(
        None, {name: value.numpy() for name, value in inputs.items() if name in given}
    )
    apart = float(np.abs(found - wanted.numpy()).max())
    if not apart <= limit:
        raise WeightsError(f"the exported network is {apart:.2g} from PyTorch's; it was not kept")
    return apart


class _Reader(nn.Module):
    """A picture, at least as large as an encoder needs, to a style vector."""

    def __init__(self, encoder: Encoder, predictor: StylePredictor) -> None:
        super().__init__()
        self.encoder, self.predictor = encoder, predictor

    def forward(self, picture: Tensor) -> Tensor:
        features = self.encoder.features(picture, STYLE_LAYERS)
        means = {layer: x.mean(dim=(2, 3)) for layer, x in features.items()}
        seconds = {layer: x.square().mean(dim=(2, 3)) for layer, x in features.items()}
        found: Tensor = self.predictor(encode_style(means, seconds, STYLE_LAYERS))
        return found


def _exported(net: nn.Module, inputs: Mapping[str, Tensor], output: str) -> Model:
    """Traced with plain operations and free height and width."""
    _onnx()
    free = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    shapes = tuple(free if value.dim() == 4 else {} for value in inputs.values())
    with portable(), torch.no_grad(), _silence():
        program = torch.onnx.export(
            net,
            tuple(inputs.values()),
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=list(inputs),
            output_names=[output],
            opset_version=OPSET,
            optimize=True,
            verbose=False,
        )
    assert program is not None
    return _slim(program.model_proto)


@contextmanager
def _silence() -> Iterator[None]:
    """The exporter tells its steps, and of what does not concern a network that was traced before."""
    log = logging.getLogger("torch.onnx")  # of torchvision, which is not needed
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)


def _name_weights(model: Model, weights: Mapping[str, Tensor]) -> None:
    """Give every weight in the graph the name it has in a file, in whatever shape it is there."""
    onnx = _onnx()
    by_bytes = {value.float().contiguous().numpy().tobytes(): key for key, value in weights.items()}
    renamed = {}
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and np.prod(tensor.dims) > 1:
            values = onnx.numpy_helper.to_array(tensor)
            key = by_bytes.get(np.ascontiguousarray(values).tobytes())
            if key is not None:
                renamed[tensor.name] = tensor.name = key
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = renamed.get(name, name)


def _described(model: Model, painter: Painter, said: Mapping[str, str]) -> Model:
    _say(
        model,
        {
            "made by": f"impasto {metadata.version('impasto')}",
            "network": painter.bank.network,
            "licence": painter.licence,
            "recipe": json.dumps(dict(painter.recipe)),
            **said,
        },
    )
    return model


def _say(model: Model, said: Mapping[str, str]) -> None:
    known = {each.key: each.value for each in model.metadata_props} | dict(said)
    del model.metadata_props[:]
    for key, value in known.items():
        model.metadata_props.add(key=key, value=value)


def _copy(model: Model) -> Model:
    found = type(model)()
    found.CopyFrom(model)
    return found


def _slim(model: Model) -> Model:
    """Without where in the source each node comes from."""
    graph = model.graph
    for each in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del each.metadata_props[:]
        each.doc_string = ""
    del graph.value_info[:], graph.metadata_props[:]
    return model
