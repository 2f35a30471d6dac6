"""Video files by PyAV (FFmpeg), which is optional and stands only here."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from impasto.errors import InputError, OptionError
from impasto.film.frames import FilmFrame, even_sides
from impasto.pictures.files import Array
from impasto.pictures.kinds import FILM, mistaken

__all__ = ["Video", "VideoWriter", "comment"]

# Suffix -> FFmpeg's name of the container, the video codec, the sound codecs that can be copied
# (all where None), and the one that others are coded anew in.
_CONTAINERS: Mapping[str, tuple[str, str, frozenset[str] | None, str]] = MappingProxyType(
    {
        ".mkv": ("matroska", "libx264", None, "aac"),
        ".mov": ("mov", "libx264", frozenset({"aac", "ac3", "alac", "mp3"}), "aac"),
        ".mp4": ("mp4", "libx264", frozenset({"aac", "ac3", "alac", "mp3", "opus"}), "aac"),
        ".webm": ("webm", "libvpx-vp9", frozenset({"opus", "vorbis"}), "libopus"),
    }
)
# Nearly lossless to the eye: strokes are fine and everywhere, and coarse coding shows in them.
_CODING = MappingProxyType(
    {
        "libx264": {"crf": "18", "preset": "medium"},
        "libvpx-vp9": {"crf": "24", "b": "0", "cpu-used": "4", "row-mt": "1"},
    }
)
_ON_WHITE = "video is written without transparency: laid on white"
_BT709, _TV = 1, 1  # of H.273, and FFmpeg's number of the limited range
_HDR = (16, 18)  # transfer characteristics of H.273: PQ and HLG


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise OptionError(
            "films need the extra film: pip install 'impasto[film]' (PyAV is missing)"
        ) from error
    return av


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    av = _av()
    try:
        yield
    except av.error.FFmpegError as error:
        broken = (
            f"{path} is not a film that can be read ({error.strerror}); convert it to .mp4 first"
        )
        raise InputError(mistaken(path, FILM) or broken) from error


def comment(path: Path) -> str | None:
    """What a video's container says of it; `InputError` where it cannot be read."""
    with _reading(path), _av().open(str(path)) as container:
        said = {name.lower(): text for name, text in container.metadata.items()}
        return said.get("comment")


class Video:
    """A `Film` in a file that FFmpeg reads. Frames are turned upright; times are those of the file,
    whether they are regular or not. What cannot be decoded is left out, and noted.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.notes = path, list[str]()
        with _reading(path), _av().open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"{path} holds no pictures, only sound; name another film")
            stream = container.streams.video[0]
            self.count: int | None = stream.frames or None
            self.rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
            self.tick = Fraction(stream.time_base or Fraction(1, 1000))
            self.aspect = Fraction(stream.sample_aspect_ratio or 1)
            # With sound, what it says may be how long that is.
            alone = len(container.streams) == 1
            seconds = Fraction(container.duration or 0, 1_000_000)
            self._length = seconds if alone else Fraction(0)
            self.count = self.count or round(self.rate * seconds) or None
            self._notice(stream.codec_context)

    def _notice(self, codec: Any) -> None:
        parts = codec.format.components if codec.format else ()
        depth = max((part.bits for part in parts), default=8)
        if depth > 8:
            self.notes.append(f"{depth} bits a channel painted in 8")
        if codec.color_trc in _HDR:
            self.notes.append("high dynamic range is not mapped; colours come out pale")

    def frames(self) -> Iterator[FilmFrame]:
        """See `Film`."""
        broken, number, time = 0, 0, Fraction(0)
        av = _av()
        with _reading(self.path), av.open(str(self.path)) as container:
            stream = container.streams.video[0]
            for packet in container.demux(stream):
                try:
                    decoded = packet.decode()
                except av.error.InvalidDataError:
                    broken += 1
                    continue
                for frame in decoded:
                    known = frame.pts is not None
                    time = Fraction(frame.pts * frame.time_base if known else number / self.rate)
                    yield FilmFrame(_pixels(frame), time)
                    number += 1
        if not number:
            raise InputError(f"{self.path} has no frames that can be read; name another film")
        if broken:
            self.notes.append(f"{broken} broken packet{'' if broken == 1 else 's'} left out")
        elif time + 5 / self.rate < Fraction(9, 10) * self._length:
            end, length = float(time), float(self._length)
            self.notes.append(f"pictures end at {end:.1f} s of {length:.1f}: is it cut short?")


def _pixels(frame: Any) -> Array:
    """Upright RGB, or RGBA where the film has transparency."""
    alpha = any(part.is_alpha for part in frame.format.components)
    array = frame.to_ndarray(format="rgba" if alpha else "rgb24")
    # FFmpeg says by how many degrees to turn anticlockwise.
    return np.ascontiguousarray(np.rot90(array, round(frame.rotation / 90)))


class VideoWriter:
    """Writes a film to `path` in the format of `suffix`, with the sound of `source` where that has
    any; use it in a `with` block.

    `rate`: frames a second, on average; `tick`: the unit of times; `recipe`: a text that is kept as
    the film's comment.
    """

    def __init__(
        self,
        path: Path,
        suffix: str,
        *,
        rate: Fraction,
        tick: Fraction,
        source: Path | None = None,
        aspect: Fraction = Fraction(1),
        recipe: str = "",
    ) -> None:
        self.form, self.codec, self.copied, self.recoded = _CONTAINERS[suffix]
        self.path, self.rate, self.tick, self.aspect = path, rate, tick, aspect
        self.source, self.recipe, self.notes = source, recipe, list[str]()
        self._in: Any = None
        self._stream: Any = None
        self._sound: Iterator[tuple[Fraction, Any]] = iter(())
        self._next: tuple[Fraction, Any] | None = None

    def __enter__(self) -> Self:
        av = _av()
        self._out = av.open(str(self.path), "w", format=self.form)
        self._out.metadata["comment"] = self.recipe
        if self.source is not None:
            self._in = av.open(str(self.source))
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._out.mux(self._stream.encode(None))
                self._play(None)
        finally:
            self._out.close()
            if self._in is not None:
                self._in.close()

    def write(self, frame: FilmFrame) -> None:
        """The next frame, of the size of the first, its transparency laid on white."""
        av, pixels = _av(), _opaque(even_sides(frame.pixels))
        if frame.pixels.shape[2] == 4 and _ON_WHITE not in self.notes:
            self.notes.append(_ON_WHITE)
        if self._stream is None:
            self._begin(pixels.shape[1], pixels.shape[0])
            if pixels.shape[:2] != frame.pixels.shape[:2]:
                height, width = pixels.shape[:2]
                self.notes.append(f"cut to {width}x{height}: video has even sides")
        self._play(frame.time)
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        picture = picture.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range=_TV)
        picture.pts, picture.time_base = round(frame.time / self.tick), self.tick
        self._out.mux(self._stream.encode(picture))

    def _begin(self, width: int, height: int) -> None:
        stream = self._out.add_stream(self.codec, rate=self.rate, options=dict(_CODING[self.codec]))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.time_base, context.sample_aspect_ratio = self.tick, self.aspect
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = _TV
        self._stream = stream
        if self._in is not None and self._in.streams.audio:
            self._sound = self._copied() if self._copies() else self._recoded()
            self._next = next(self._sound, None)

    def _copies(self) -> bool:
        return self.copied is None or self._in.streams.audio[0].codec_context.name in self.copied

    def _copied(self) -> Iterator[tuple[Fraction, Any]]:
        """The packets of the sound as they are, and when they are heard."""
        sound = self._in.streams.audio[0]
        stream = self._out.add_stream_from_template(sound)
        for packet in self._in.demux(sound):
            if packet.size:  # the last is empty
                packet.stream = stream
                yield _heard(packet), packet

    def _recoded(self) -> Iterator[tuple[Fraction, Any]]:
        """The sound coded anew, in what this container can hold."""
        sound = self._in.streams.audio[0]
        stream = self._out.add_stream(self.recoded, rate=48000)
        self.notes.append(f"sound coded anew: {self.form} has no {sound.codec_context.name}")
        for frame in self._in.decode(sound):
            for packet in stream.encode(frame):
                yield _heard(packet), packet
        for packet in stream.encode(None):
            yield _heard(packet), packet

    def _play(self, until: Fraction | None) -> None:
        """The sound up to that time, so that it lies beside its pictures in the file."""
        while self._next is not None and (until is None or self._next[0] <= until):
            self._out.mux(self._next[1])
            self._next = next(self._sound, None)


def _heard(packet: Any) -> Fraction:
    """When a packet of sound begins, s."""
    return Fraction(((packet.pts or 0) if packet.dts is None else packet.dts) * packet.time_base)


def _opaque(pixels: Array) -> Array:
    if pixels.shape[2] == 3:
        return pixels
    alpha = pixels[..., 3:].astype(np.float32) / 255
    mixed: Array = np.rint(pixels[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return mixed
