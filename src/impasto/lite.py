"""A picture in one pass without PyTorch: ONNX Runtime, NumPy and Pillow. The extra is `lite`.

    picture = impasto.lite.stylize("photo.jpg", "starry-night", method="fast")

The graphs are made by `impasto.export.onnx` and kept without weights; those come from the networks'
own files, so that there is one copy of them. What this engine cannot do is refused by the setting's
name.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata, resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias, Unpack

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open

from impasto.errors import InputError, OptionError, WeightsError, kind_of
from impasto.home import own_bank
from impasto.methods.base import named_style
from impasto.networks.header import EMBEDDED, learned_styles, network_header
from impasto.pictures.files import decode, decoding, opened
from impasto.pictures.identity import identity
from impasto.pictures.planes import MIN_SIDE, fit, planes
from impasto.pictures.samples import named
from impasto.settings import Options, Settings

__all__ = ["HONOURS", "Painted", "embedded", "noise_field", "paint", "session", "stylize"]

HONOURS = frozenset({"method", "size", "strength", "style_scale", "blend", "network", "engine"})
"""The settings that make a difference to this engine; `device` may be `auto` or `cpu`."""

Array: TypeAlias = NDArray[np.float32]
Input: TypeAlias = str | Path | Image.Image

_LEAST, _ENCODABLE = 16, 32  # px of the shortest side that is painted, and that is read
_GREY = 1.5 / 255  # see `impasto.inputs`
_LUMINANCE = np.array([0.212671, 0.715160, 0.072169], dtype=np.float32)[:, None, None]


@dataclass(frozen=True, eq=False)
class Painted:
    """A picture, its recipe, and things to tell the user."""

    image: Image.Image
    recipe: Mapping[str, object]
    notes: tuple[str, ...]


def stylize(
    content: Input,
    style: Input | Sequence[Input],
    settings: Settings | None = None,
    **options: Unpack[Options],
) -> Image.Image:
    """A photo in the style of a painting, or of several: paths, PIL images, or names of samples and
    learned styles.

    As `impasto.stylize` with `engine=onnx`, without PyTorch. Raises `ImpastoError`.
    """
    styles = [style] if isinstance(style, str | Path | Image.Image) else list(style)
    return paint(content, styles, (settings or Settings()).but(**options, engine="onnx")).image


def paint(content: Input, styles: Sequence[Input], settings: Settings) -> Painted:
    """The same, with what else there is to know of the picture."""
    if "method" not in settings.model_fields_set and any(map(_closed, styles)):
        settings = settings.but(method="fast")  # as `plan` does: it is the one that knows names
    _check(styles, settings)
    networks = _Networks(settings.network)
    shares = _shares(len(styles), settings)
    with ThreadPoolExecutor(1) as beside:  # the runtime prepares a graph outside Python's lock
        painter = beside.submit(lambda: networks.painter)
        photo = _opened(content, settings.size)
        read = [_style(each, settings, networks) for each in styles]
        painter.result()
    vector = np.sum([w * v for w, (v, _) in zip(shares, read, strict=True) if w > 0], axis=0)
    picture = _rendered(photo.color, vector.astype(np.float32), settings, networks)
    if settings.strength == 1 and all(grey for _, grey in read):
        picture = _greyed(picture)
    kept = {"method", "size", "keep_color"} | (HONOURS - {"blend", "network"})
    recipe = {
        "impasto": metadata.version("impasto"),
        "onnxruntime": _onnxruntime().__version__,
        "content": identity(content),
        "styles": [identity(style) for style in styles],
        **{name: value for name, value in settings.dump().items() if name in kept},
        "network": identity(settings.network),
        "blend": shares,
        "network_fingerprint": networks.fingerprint,
        "device": "cpu",
        "dtype": "float32",
    }
    return Painted(_image(picture, photo.alpha), recipe, photo.notes)


def _check(styles: Sequence[Input], settings: Settings) -> None:
    """`OptionError` for what this engine cannot honour, by the setting's name."""
    if settings.method not in ("fast", "arbitrary"):
        raise OptionError(
            f"`engine=onnx` paints in one pass and has no `method={settings.method}`; "
            "use `method=arbitrary` or `method=fast`, or `engine=torch`"
        )
    for name in settings.changed:
        if name not in HONOURS and not (name == "device" and settings.device == "cpu"):
            raise OptionError(
                f"`{name}` has no effect with `engine=onnx`; leave it out, or use `engine=torch`"
            )
    if not styles:
        raise OptionError("give at least one style picture")


def _closed(style: Input) -> bool:
    """Whether it is a name without a picture: a learned style's, if it is anything."""
    return isinstance(style, str) and not named_style(style).pictured


def _shares(count: int, settings: Settings) -> list[float]:
    blend = settings.blend or (1.0,) * count
    if len(blend) != count:
        raise OptionError(f"`blend` has {len(blend)} weights for {count} styles; give one for each")
    return [weight / sum(blend) for weight in blend]


# ------------------------------------------------------------------------------------------ networks


class _Networks:
    """The painter and the reader of a network, each made when it is first asked for."""

    def __init__(self, network: str) -> None:
        path = Path(str(_asset("painter.safetensors"))) if network == EMBEDDED else Path(network)
        if network != EMBEDDED and not path.is_file():
            raise WeightsError(
                f"no network {network!r}: leave `network` out for the embedded one, or name a file"
            )
        self.network, self.path = network, path
        self.fingerprint = network_header(network).network

    @cached_property
    def painter(self) -> Any:
        """Takes `photo` and `vector`, gives the picture."""
        return _session("painter", self.painter_weights())

    def painter_weights(self) -> dict[str, Array]:
        """By the names they have in the graph."""
        config = self._config["transformer"]
        if {"noise": 0, "context": 0, **config} != _graph("painter")["transformer"]:
            raise WeightsError(
                "`engine=onnx` knows networks of the embedded one's shape only; use `engine=torch`"
            )
        weights = _weights(self.path, "transformer.")
        field = {"noise_field": noise_field(config["noise"])} if config.get("noise") else {}
        return weights | field

    @cached_property
    def reader(self) -> Any:
        """Takes `picture`, gives the vector."""
        return _session("reader", self.reader_weights())

    def reader_weights(self) -> dict[str, Array]:
        """By the names they have in the graph."""
        if not network_header(self.network).reads:
            raise OptionError(
                "this network cannot read a painting, it only knows styles by name; use `method=fast`"
            )
        graph = _graph("reader")
        if (
            self._said["encoder"] != graph["encoder"]
            or self._config["predictor"] != graph["predictor"]
        ):
            raise WeightsError(
                "`engine=onnx` reads styles as the embedded network does only; use `engine=torch`"
            )
        encoder = _weights(Path(str(_asset(f"{graph['encoder']}.safetensors"))), "")
        named_so = {f"encoder.{name}": value for name, value in encoder.items()}
        return _weights(self.path, "predictor.") | named_so

    @cached_property
    def _said(self) -> dict[str, str]:
        try:
            with safe_open(str(self.path), framework="np") as file:
                return {"config": "{}", "encoder": "", **(file.metadata() or {})}
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{self.path} cannot be read ({error})") from None

    @cached_property
    def _config(self) -> dict[str, Any]:
        return {"transformer": {}, "predictor": None, **json.loads(self._said["config"])}

    def vector(self, name: str) -> Array:
        """`(1, V)` of a learned style, by its name or as `NAME@DIGEST`."""
        name, _, known = name.partition("@")
        found = {each.name: each for each in learned_styles(self.network)}
        if name not in found:
            raise InputError(
                f"no learned style {name!r}; there are: {', '.join(found) or 'none yet'}"
            )
        path = own_bank() if found[name].own else self.path
        vector = _weights(path, f"style.{name}")[f"style.{name}"]
        if known and known != hashlib.sha256(vector.tobytes()).hexdigest()[:12]:
            raise WeightsError(
                f"the style {name!r} was learned anew since, and paints another picture; leave out @{known}"
            )
        return vector[None]

    def paint(self, photo: Array, vector: Array) -> Array:
        """`(3, H, W)` -> `(3, H, W)`, at least 16 px a side."""
        (found,) = self.painter.run(None, {"photo": photo[None], "vector": vector})
        picture: Array = found[0]
        return picture

    def read(self, picture: Array) -> Array:
        """The style vector `(1, V)` of a picture `(3, H, W)`."""
        height, width = picture.shape[1:]
        large = _resized(picture, (max(height, _ENCODABLE), max(width, _ENCODABLE)))
        (found,) = self.reader.run(None, {"picture": large[None]})
        vector: Array = found
        return vector


def noise_field(channels: int) -> Array:
    """`(channels, 512, 512)`, the noise of `impasto.networks.transform_net`, to rounding.

    As PyTorch draws it on a CPU from seed 0: numbers of a Mersenne twister (Matsumoto and Nishimura
    1998) of 24 bits, made normal by Box and Muller's transform in blocks of eight pairs.
    """
    twister = np.random.MT19937()
    np.random.RandomState(twister).seed(0)
    raw = twister.random_raw(channels * 512 * 512).astype(np.uint32) & np.uint32(0xFFFFFF)
    uniform = (raw.astype(np.float32) * np.float32(2**-24)).reshape(-1, 2, 8)
    radius = np.sqrt(-2 * np.log(1 - uniform[:, 0]))
    angle = np.float32(2 * np.pi) * uniform[:, 1]
    pairs: Array = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return pairs.reshape(channels, 512, 512)


def _asset(name: str) -> Any:
    return resources.files("impasto") / "assets" / name


def _graph(name: str) -> dict[str, Any]:
    """What `tools/lite_graphs.py` said of a graph: the network it is of, its weights' shapes."""
    found: dict[str, Any] = json.loads(_asset(f"{name}.json").read_text(encoding="utf-8"))
    return found


def _weights(path: Path, prefix: str) -> dict[str, Array]:
    """The tensors of a safetensors file whose names begin so, as float32."""
    try:
        with safe_open(str(path), framework="np") as file:
            names = [key for key in file.keys() if key.startswith(prefix)]  # noqa: SIM118
            return {name: file.get_tensor(name).astype(np.float32) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"{path} cannot be read ({reason})") from None


def embedded() -> dict[str, tuple[bytes, dict[str, Array]]]:
    """The graphs that ship, `painter` and `reader`, and the embedded network's weights for each."""
    networks = _Networks(EMBEDDED)
    weights = {"painter": networks.painter_weights(), "reader": networks.reader_weights()}
    return {name: (_asset(f"{name}.onnx").read_bytes(), each) for name, each in weights.items()}


def _session(name: str, weights: Mapping[str, Array]) -> Any:
    """A graph of this package, given its weights."""
    given = {key: weights[key].reshape(shape) for key, shape in _graph(name)["weights"].items()}
    return session(_asset(f"{name}.onnx").read_bytes(), given)


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise OptionError(
            "`engine=onnx` needs onnxruntime; install the extra: pip install 'impasto[lite]'"
        ) from None
    return onnxruntime


def session(model: bytes, weights: Mapping[str, Array] = MappingProxyType({})) -> Any:
    """ONNX Runtime with a model, and with the weights that it only names.

    `OptionError` where the extra is missing.
    """
    onnxruntime = _onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Threads that wait would take processors from other processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in weights.values()]
    if values:
        options.add_external_initializers(list(weights), values)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


# ------------------------------------------------------------------------------------------ pictures


@dataclass(frozen=True, eq=False)
class _Photo:
    color: Array
    alpha: Array | None
    notes: tuple[str, ...]


def _opened(source: Input, size: int) -> _Photo:
    """Colour `(3, H, W)` and alpha `(1, H, W)` with that long side, enlarged if need be."""
    if not isinstance(source, str | Path | Image.Image):
        raise InputError(f"{kind_of(source)} is not a picture; give a path or a PIL image")
    picture = named(str(source)) if isinstance(source, str | Path) else source
    if picture is None:
        with opened(Path(str(source))) as image:
            pixels, notes = decode(image)
    else:
        with decoding("the picture"):
            pixels, notes = decode(picture)
    called = str(source) if isinstance(source, str | Path) else "the picture"
    if min(pixels.shape[:2]) < MIN_SIDE:
        raise InputError(
            f"{called} is {pixels.shape[1]} x {pixels.shape[0]} pixels; each side needs at least {MIN_SIDE}"
        )
    color, alpha = planes(called, pixels, fit(pixels.shape[0], pixels.shape[1], size))
    height, width = color.shape[1:]
    factor = size / max(height, width)
    grown = (round(height * factor), round(width * factor)) if factor > 1 else (height, width)
    if min(grown) < _ENCODABLE:
        raise InputError(
            f"{called} is only {grown[1]}x{grown[0]} px at this size; it needs {_ENCODABLE} px or "
            "more on each side: take a larger one or a larger `size`"
        )
    veil = None if alpha is None else _resized(alpha, grown)
    return _Photo(_resized(color, grown), veil, notes)


def _style(source: Input, settings: Settings, networks: _Networks) -> tuple[Array, bool]:
    """A style's vector, and whether its picture has no colour."""
    text = str(source) if isinstance(source, str | Path) else ""
    style = named_style(text) if text else None
    if settings.method == "fast":
        if style is None or style.name is None:
            raise OptionError(
                "`method=fast` paints the styles it has learned, by name, and a picture was given: "
                "use `method=arbitrary`"
            )
        return networks.vector(text), False
    if style is not None and not style.pictured:
        return networks.vector(text), False
    picture = _opened(source, settings.size)
    if picture.alpha is not None:
        raise OptionError(
            "`engine=onnx` reads no style with transparency; flatten it, or use `engine=torch`"
        )
    color = picture.color
    return networks.read(color), bool((color.max(0) - color.min(0)).mean() < _GREY)


def _rendered(photo: Array, vector: Array, settings: Settings, networks: _Networks) -> Array:
    """As `impasto.methods.feedforward.FeedForward.render`."""
    if settings.strength == 1:
        return _painted(photo, vector, settings.style_scale, networks)
    own = networks.read(photo)
    plain = _painted(photo, own, settings.style_scale, networks)
    between = own + np.float32(settings.strength) * (vector - own)
    picture = _painted(photo, between, settings.style_scale, networks)
    return picture + np.float32(1 - settings.strength) * (photo - plain)


def _painted(photo: Array, vector: Array, scale: float, networks: _Networks) -> Array:
    height, width = photo.shape[1:]
    smaller = (max(_LEAST, round(height / scale)), max(_LEAST, round(width / scale)))
    picture = networks.paint(_resized(photo, smaller), vector)
    large = _resized(picture, (height, width))
    if scale <= 1:
        return large
    again = networks.paint(large, vector)
    return large + np.float32(min(1.0, scale - 1)) * (again - large)


def _resized(image: Array, size: tuple[int, int]) -> Array:
    """`(C, H, W)` in [0, 1] at that size: antialiased bicubic, as `impasto.pictures.image.resize`."""
    if image.shape[1:] == size:
        return image
    shape, way = (size[1], size[0]), Image.Resampling.BICUBIC
    found = [np.asarray(Image.fromarray(plane).resize(shape, way)) for plane in image]
    resized: Array = np.clip(np.stack(found), 0, 1)
    return resized


def _greyed(picture: Array) -> Array:
    """Without colour, as light as it was: the relative luminance of sRGB stays."""
    picture = picture.clip(0, 1)
    linear = np.where(picture <= 0.04045, picture / 12.92, ((picture + 0.055) / 1.055) ** 2.4)
    light = (linear * _LUMINANCE).sum(0, keepdims=True) / _LUMINANCE.sum()
    grey = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.repeat(grey, 3, axis=0)


def _image(picture: Array, alpha: Array | None) -> Image.Image:
    parts = picture if alpha is None else np.concatenate([picture, alpha])
    levels = np.rint(parts.clip(0, 1) * 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0)))
