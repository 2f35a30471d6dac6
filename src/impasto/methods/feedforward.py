"""A picture in one pass: a style vector, from a bank or predicted, and the image transformation
network.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.methods.reading import encodable, moments
from impasto.methods.strokes import Strokes, beyond, divided, painted_size, preview
from impasto.methods.stylizer import Forecast, Places, Progress, normalise_weights
from impasto.methods.tiled import PassBudget, Shares, mask_crop
from impasto.networks.checkpoint import Painter
from impasto.networks.encoder import STYLE_LAYERS, Encoder
from impasto.networks.process import returning_freed_memory
from impasto.networks.style_predictor import encode_style
from impasto.pictures.image import resample, resize
from impasto.pictures.tiles import Resized, Shown, bytes_of, floats_of
from impasto.windows import Window, tiles

__all__ = ["FeedForward"]


class FeedForward:
    """A `Stylizer` that paints with `painter`; a prepared style is a vector `(1, V)`.

    `encoder` is needed to read pictures (`prepare`), not for the styles of the bank (`named`).
    `strength`, 0 to 1, goes from the photo itself to the style (see `render`). `style_scale`, 0.1
    to 4, is the size of the strokes: a network has learned them at one size in pixels, so the photo
    is painted that much smaller and the picture enlarged, and painted again where that would be
    blur; on large pictures they grow with it (`impasto.methods.strokes`). `memory`, bytes: what does
    not fit is painted by tiles. A strength below 1 needs the vector that gives a photo back: the
    painter's `identity`, or one that its predictor reads from the photo. `OptionError` where there
    is neither.
    """

    def __init__(
        self,
        painter: Painter,
        encoder: Encoder | None = None,
        *,
        strength: float = 1.0,
        style_scale: float = 1.0,
        memory: float = 4e9,
    ) -> None:
        if not 0 <= strength <= 1:
            raise OptionError(f"`strength` must be between 0 and 1, not {strength}")
        if not 0.1 <= style_scale <= 4:
            raise OptionError(f"`style_scale` must be between 0.1 and 4, not {style_scale}")
        if (
            strength < 1
            and painter.identity is None
            and (painter.predictor is None or encoder is None)
        ):
            raise OptionError(
                "this network was not taught to give a photo back; leave `strength` at 1"
            )
        self.painter, self.encoder, self.strength, self.style_scale = (
            painter,
            encoder,
            strength,
            style_scale,
        )
        self.budget = PassBudget(memory, painter.transform_net.dtype)

    @torch.no_grad()
    def prepare(self, style: Tensor, mask: Tensor | None = None) -> Tensor:
        """The predicted vector of a style picture, `(1, 3, H, W)` in [0, 1]; best near the size it
        will paint at.

        `mask`, `(1, 1, h, w)`: the part of it that is looked at, as its alpha says. Ghiasi et
        al. 2017. `OptionError` where the painter has no predictor.
        """
        if self.painter.predictor is None or self.encoder is None:
            raise OptionError(
                "this network cannot read a painting, it only knows styles by name; use `method=fast`"
            )
        # As the optimiser does with a strip.
        picture, seen = encodable(style, mask)
        means, seconds = moments(self.encoder, picture, seen, STYLE_LAYERS)
        vector: Tensor = self.painter.predictor(
            encode_style(means, seconds, STYLE_LAYERS).to(self.painter.device)
        )
        return vector

    @property
    def steps(self) -> int:
        """One."""
        return 1

    def named(self, name: str) -> Tensor:
        """The vector of a style of the bank; `OptionError`, with the names there are, for any
        other.
        """
        return self.painter.bank.vector(name)[None].to(self.painter.device)

    def blend(self, styles: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        """The weighted mean of vectors (Dumoulin et al. 2017, section 3.3); all weight on one is
        that one exactly.
        """
        pairs = zip(styles, normalise_weights(styles, weights), strict=True)
        return torch.stack([share * style for style, share in pairs if share > 0]).sum(0)

    @torch.no_grad()
    def render(
        self,
        content: Tensor,
        style: Tensor,
        *,
        start: Tensor | None = None,
        places: Places[Tensor] | None = None,
    ) -> Iterator[Progress]:
        """One `Progress`, or one a tile. Below full strength the vector lies between the photo's
        own and the style's.

        With its own vector a photo comes back nearly as it was; what is missing is added back by as
        much as the strength falls short of 1, so that strength 0 is the photo to the last bit of
        float32. `content` may be uint8: then so is the picture, painted by tiles into the one
        tensor that every `Progress` shows. `OptionError` for a start: one pass begins at the photo.
        """
        if start is not None:
            raise OptionError(
                "a network paints in one pass and cannot start from a picture; leave `start` out"
            )
        worked = painted_size((content.shape[-2], content.shape[-1]), self.style_scale)
        with returning_freed_memory() if self.budget.short(worked) else nullcontext():
            if places is not None or not self.budget.fits(worked):
                yield from self._by_tiles(content, style, places)
            else:
                yield self._at_once(content, style)

    def _at_once(self, content: Tensor, style: Tensor) -> Progress:
        """The picture, painted whole."""
        photo = floats_of(content).to(self.painter.device)
        if self.strength == 1:
            picture = self._paint(photo, style)
        else:
            identity = self._identity(photo)
            plain = self._paint(photo, identity)
            picture = self._paint(photo, identity + self.strength * (style - identity))
            picture = picture + (1 - self.strength) * (photo - plain)
        picture = picture.clamp(0, 1).cpu()
        return Progress(bytes_of(picture) if content.dtype == torch.uint8 else picture, 1, 1)

    def forecast(self, size: tuple[int, int]) -> Forecast:
        """What a photo of (H, W) will take, by the pace of a small one, painted now."""
        net, worked = self.painter.transform_net, painted_size(size, self.style_scale)
        probe = torch.full((1, 3, 256, 256), 0.5, device=self.painter.device, dtype=torch.float32)
        zero = torch.zeros((1, net.vector_size), device=self.painter.device, dtype=torch.float32)
        with torch.no_grad():
            net(probe, zero)  # the first one also prepares
            begun = time.perf_counter()
            net(probe, zero)
        pace = (time.perf_counter() - begun) / probe[0, 0].numel()
        memory = self.budget.needed(worked, net.reach)
        side = max(worked) if self.budget.fits(worked) else self.budget.side(net.reach)
        parts = list(tiles(worked, side, net.reach, 8))
        pixels = sum(tile.outer.size[0] * tile.outer.size[1] for tile in parts)
        return Forecast(pace * pixels * (1 + (self.strength < 1)), memory, len(parts))

    def _paint(self, photo: Tensor, vector: Tensor) -> Tensor:
        """At the photo's size, with strokes of `style_scale`."""
        size = (photo.shape[-2], photo.shape[-1])
        scale = self.style_scale * beyond(size)
        picture: Tensor = self.painter.transform_net(resize(photo, divided(size, scale)), vector)
        if scale <= 1:
            return resize(picture, size)
        # A picture enlarged is blurred; painted once more, its large strokes are made of fine ones.
        # Little by little, so that a scale just above 1 is just that.
        large = resize(picture, size)
        if beyond(size) > 1:
            seen = resize(photo, divided(size, beyond(size)))
            large = large + photo - resample(seen, size)
        large = large.clamp(0, 1)
        again: Tensor = self.painter.transform_net(large, vector)
        return torch.lerp(large, again, min(1.0, scale - 1))

    def _by_tiles(
        self, content: Tensor, style: Tensor, places: Places[Tensor] | None
    ) -> Iterator[Progress]:
        """The same for any size, and with styles and strength that differ from place to place."""
        photo = Shown(content)
        vectors, shares, rest = style, None, 1 - self.strength
        if places is not None and places.masks is not None:
            vectors, shares = torch.cat(list(places.styles)), Shares(places.masks)
        identity = None
        map_of_rest = None if places is None else places.rest
        if rest > 0 or map_of_rest is not None:
            identity = self._identity(preview(photo))
            vectors = identity + self.strength * (vectors - identity)
        if identity is not None and map_of_rest is not None:
            # The photo's own vector is one more style, where strength leaves room for it.
            vectors, shares = torch.cat([vectors, identity]), _joined(shares, map_of_rest)
        strokes = Strokes(self.painter.transform_net, photo, self.style_scale, self.budget)
        main = strokes.layer(vectors, shares)
        plain = None if identity is None else strokes.layer(identity, None)
        todo = list(main.tiles())
        canvas = content.clone()
        for tile in todo:
            _put(canvas, tile.inner, main.preview(tile.inner))
        for done, tile in enumerate(todo, start=1):
            picture = main.paint(tile)
            seen = photo.crop(tile.inner).to(picture)
            if plain is not None:
                share: Tensor | float = rest
                if map_of_rest is not None:
                    share = 1 - (1 - rest) * (1 - mask_crop(map_of_rest, photo.size, tile.inner))
                picture = picture + share * (seen - plain.paint(tile))
            if places is not None and places.masks is not None:
                cover = mask_crop(places.masks.sum(1, keepdim=True), photo.size, tile.inner)
                picture = seen + cover.to(picture) * (picture - seen)
            _put(canvas, tile.inner, picture)
            yield Progress(canvas, done, len(todo))

    def _identity(self, photo: Tensor) -> Tensor:
        identity = self.painter.identity
        return self.prepare(photo) if identity is None else identity[None].to(self.painter.device)


def _put(canvas: Tensor, window: Window, picture: Tensor | None) -> None:
    """A part of a picture into its place."""
    if picture is None:
        return
    picture = picture.clamp(0, 1).cpu()
    into = window.of(canvas)
    into.copy_(bytes_of(picture) if canvas.dtype == torch.uint8 else picture)


def _joined(shares: Shares | None, rest: Tensor) -> Shares:
    """The shares of the styles and, last, of one more: it has `rest`, and they what is left."""
    if shares is None:
        return Shares(torch.cat([1 - rest, rest], 1))
    masks = Resized(shares.masks, (rest.shape[-2], rest.shape[-1]))
    whole = Window(0, masks.size[0], 0, masks.size[1])
    return Shares(torch.cat([shares.crop(masks.size, whole) * (1 - rest), rest], 1))
