"""A picture about to be made: its steps, and what is made of any of them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from impasto.errors import InputError, kind_of
from impasto.inputs import Inputs, named
from impasto.methods.base import Frame, Renderer
from impasto.methods.regions import Ground
from impasto.methods.stylizer import Progress
from impasto.pictures.color import luminance_transfer
from impasto.pictures.exif import sifted
from impasto.pictures.image import Picture, Source, bytes_to_pil, save_picture, to_pil
from impasto.pictures.painted import PaintedImage
from impasto.pictures.tiles import Resized, bytes_of
from impasto.settings import Settings
from impasto.windows import tiles

__all__ = ["Job"]


@dataclass(frozen=True, eq=False)
class Job:
    """A picture about to be made. `notes` are things to tell the user; `recipe` is enough to make
    it again, with `recipe=short` but for the photo's name.

    `grey`: no style has any colour, and so the picture has none. Features know colour only roughly,
    and would tint it. `dpi`: for the file, where a size on paper was asked for.
    """

    settings: Settings
    renderer: Renderer
    content: Picture
    start: Tensor | None
    recipe: dict[str, object]
    notes: tuple[str, ...]
    grey: bool = False
    ground: Ground = field(default_factory=Ground)
    dpi: int | None = None

    @torch.inference_mode(False)
    def steps(self) -> Iterator[Progress]:
        """Render, step by step; see `Progress`. Also inside a program's `torch.inference_mode()`."""
        ground = self.ground
        frame = Frame(self.content.image, self.start, regions=ground.regions, rest=ground.rest)
        yield from self.renderer.render(frame)

    def of(self, content: Source) -> "Job":
        """The same for another photo. The styles stay as they were read: also the palette that
        `keep_color=statistics` gave them.

        Raises `InputError` for a photo that cannot be used.
        """
        given = Inputs(content, self.settings)
        photo, recipe = given.photo, self.recipe_of(content)
        return replace(self, content=photo, recipe=recipe, notes=tuple(dict.fromkeys(given.notes)))

    def recipe_of(self, content: Source) -> dict[str, object]:
        """The recipe of `of(content)`, without opening it."""
        return {**self.recipe, "content": named(content, self.settings)}

    def finish(self, step: Progress, *, unfinished: bool | None = None) -> PaintedImage:
        """The picture of any step at full size, the photo's colours and transparency put back where
        asked for. It knows its recipe, which says how far it came, and `save`s it.

        `unfinished`: whether there was more to come; where it is not said, the step tells (but
        with `early_stop`, when no step knows).
        """
        if not isinstance(step, Progress):
            raise InputError(f"a picture is made of a step of `Job.steps`, not of {kind_of(step)}")
        if self.content.image.dtype == torch.uint8:
            image = step.image if step.detail is None else step.whole(*step.detail.shape[-2:])
            picture = bytes_to_pil(self._by_bands(image), self.content.alpha)
        else:
            whole = step.whole(self.content.image.shape[-2], self.content.image.shape[-1])
            image = self._recolored(whole, self.content.image)
            picture = to_pil(image, self.content.alpha)
        exif = sifted(self.content.exif, self.settings.keep_exif)
        return PaintedImage.of(picture, self._told(step, unfinished), exif)

    def _recolored(self, image: Tensor, photo: Tensor) -> Tensor:
        """With the colours that were asked for, of a picture or a part of it."""
        if self.grey:
            image = luminance_transfer(image, torch.full_like(image, 0.5))
        if self.settings.keep_color == "luminance":
            image = luminance_transfer(image, photo)
        return luminance_transfer(photo, image) if self.settings.colors_only else image

    def _by_bands(self, image: Tensor) -> Tensor:
        """The same of a large picture, in 8 bits; one that is smaller yet is enlarged."""
        settings, whole = self.settings, self.content.image
        plain = not (self.grey or settings.colors_only or settings.keep_color == "luminance")
        if plain and image.dtype == whole.dtype and image.shape == whole.shape:
            return image
        found, size = torch.empty_like(whole), (whole.shape[-2], whole.shape[-1])
        for band in tiles(size, 1024, 0, 1):
            part, photo = (Resized(x, size).crop(band.inner) for x in (image, whole))
            band.inner.of(found).copy_(bytes_of(self._recolored(part.clamp(0, 1), photo)))
        return found

    def save(
        self,
        step: Progress,
        path: str | os.PathLike[str],
        *,
        unfinished: bool | None = None,
        quality: int = 95,
    ) -> Path:
        """Write the picture of any step, with its recipe, whole or not at all: `save_picture`."""
        picture = self.finish(step, unfinished=unfinished)
        return save_picture(path, picture, quality=quality, dpi=self.dpi)

    def _told(self, step: Progress, unfinished: bool | None) -> dict[str, object] | None:
        """The recipe of a step, or None where there is to be none."""
        if self.settings.recipe == "none":
            return None
        if unfinished is None:
            unfinished = step.step < step.of and not self.settings.early_stop
        more = {"unfinished": True} if unfinished else {}
        return {**self.recipe, "steps_done": step.step, **more}
