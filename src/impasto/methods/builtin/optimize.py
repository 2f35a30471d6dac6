"""`method="optimize"`: the pixels are optimised."""

from collections.abc import Sequence

from impasto.errors import OptionError
from impasto.methods.base import Method, Renderer, StyleInput
from impasto.methods.builtin.arbitrary import ARBITRARY
from impasto.methods.matching import reader
from impasto.methods.needs import of_descent, of_pass
from impasto.methods.optimize import PixelOptimizer
from impasto.methods.two_stage import DESCENT, TwoStage, descent, painting, stages
from impasto.networks.loaded import Networks
from impasto.settings import Settings

__all__ = ["OPTIMIZE"]


class _Optimize(Method):
    """Gatys et al. 2015. The default preset begins at what the embedded network paints in one pass."""

    name = "optimize"
    help = "optimise the pixels"
    large = True
    honours = DESCENT

    def check(self, styles: Sequence[StyleInput], settings: Settings) -> None:  # noqa: ARG002
        """A seed is of noise alone."""
        if settings.seed and settings.resolved().init != "noise":
            raise OptionError(
                "`seed` has no effect here: there is no noise to draw without `init=noise`"
            )

    def memory(self, settings: Settings, height: int, width: int) -> float:
        """See `Method`."""
        descent = of_descent(settings, height, width)
        begun = settings.resolved().init == "pass"
        return max(descent, of_pass(settings, height, width)) if begun else descent

    def prepare(
        self, styles: Sequence[StyleInput], settings: Settings, networks: Networks
    ) -> Renderer:
        """See `Method`."""
        preset = settings.resolved()
        if preset.init == "pass":
            first, second = stages(ARBITRARY, styles, settings.but(steps=preset.steps), networks)
            made = {"network": {"name": settings.network}, "steps": preset.steps}
            return TwoStage(first, second, shown=False, made=made)
        optimizer = PixelOptimizer(reader(settings, networks), settings)
        pictures = [style.look(painting(settings)) for style in styles]
        return descent(optimizer, pictures, styles)


OPTIMIZE = _Optimize()
"""The method `optimize`."""
