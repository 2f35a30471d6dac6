"""A picture in one pass: a style vector, from a bank or predicted, and the image transformation
network.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.methods.reading import encodable, moments
from impasto.methods.stylizer import Progress, normalise_weights
from impasto.networks.checkpoint import Painter
from impasto.networks.encoder import STYLE_LAYERS, Encoder
from impasto.networks.style_predictor import encode_style
from impasto.pictures.image import resize

__all__ = ["FeedForward"]

# The shortest side, in pixels, that the transform net can pad.
_LEAST = 16


class FeedForward:
    """A `Stylizer` that paints with `painter`; a prepared style is a vector `(1, V)`.

    `encoder` is needed to read pictures (`prepare`), not for the styles of the bank (`named`).
    `strength`, 0 to 1, goes from the photo itself to the style (see `render`). `style_scale`, 0.1
    to 4, is the size of the strokes: a network has learned them at one size in pixels, so the photo
    is painted that much smaller and the picture enlarged, and painted again where that would be
    blur. `OptionError` for a strength below 1 with a painter that cannot give a photo back: one
    with neither an `identity` nor a predictor, with its encoder, to ask.
    """

    def __init__(
        self,
        painter: Painter,
        encoder: Encoder | None = None,
        *,
        strength: float = 1.0,
        style_scale: float = 1.0,
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
        self, content: Tensor, style: Tensor, *, start: Tensor | None = None
    ) -> Iterator[Progress]:
        """One `Progress`. Below full strength the vector lies between the photo's own and the
        style's.

        With its own vector a photo comes back nearly as it was; what is missing is added back by as
        much as the strength falls short of 1, so that strength 0 is the photo to the last bit of
        float32. `OptionError` for a start: one pass begins at the photo.
        """
        if start is not None:
            raise OptionError(
                "a network paints in one pass and cannot start from a picture; leave `start` out"
            )
        photo = content.to(self.painter.device)
        if self.strength == 1:
            picture = self._paint(photo, style)
        else:
            identity = self._identity(content)
            plain = self._paint(photo, identity)
            picture = self._paint(photo, identity + self.strength * (style - identity))
            picture = picture + (1 - self.strength) * (photo - plain)
        yield Progress(picture.clamp(0, 1).cpu(), 1, 1)

    def _paint(self, photo: Tensor, vector: Tensor) -> Tensor:
        """At the photo's size, with strokes of `style_scale`."""
        height, width = photo.shape[-2:]
        smaller = (
            max(_LEAST, round(height / self.style_scale)),
            max(_LEAST, round(width / self.style_scale)),
        )
        picture: Tensor = self.painter.transform_net(resize(photo, smaller), vector)
        if self.style_scale <= 1:
            return resize(picture, (height, width))
        # A picture enlarged is blurred; painted once more, its large strokes are made of fine ones.
        # Little by little, so that a scale just above 1 is just that.
        large = resize(picture, (height, width)).clamp(0, 1)
        again: Tensor = self.painter.transform_net(large, vector)
        return torch.lerp(large, again, min(1.0, self.style_scale - 1))

    def _identity(self, photo: Tensor) -> Tensor:
        identity = self.painter.identity
        return self.prepare(photo) if identity is None else identity[None].to(self.painter.device)
