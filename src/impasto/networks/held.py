"""Statistics of instance norms held over the frames of a film.

Every frame's own statistics move with whatever enters or leaves it, and all of its colours with
them: the picture flickers. A running mean over the frames moves slowly.
"""

from torch import Tensor

from impasto.networks.kernels import channel_moments

__all__ = ["HeldMoments"]

KEEP = 0.9
"""What a frame keeps of the statistics before it: ten frames of memory, less than half a second."""


class HeldMoments:
    """A source for `impasto.networks.instance_norm.moments_from`: a running mean of what the norms
    ask, in the order in which they ask; the first frame's are its own.

    Call `begin` before each frame, `reset` at a cut. Frames have to be painted in the same way, at
    the same size.
    """

    def __init__(self, keep: float = KEEP) -> None:
        self.keep = keep
        self.means, self.variances = list[Tensor](), list[Tensor]()
        self._place = 0

    def begin(self) -> None:
        """The next norm to ask is the first one again."""
        self._place = 0

    def reset(self) -> None:
        """The next frame is a first one."""
        self.means, self.variances = [], []
        self.begin()

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the variance to normalise `x`, `(1, C, H, W)`, by."""
        return self.hold(*channel_moments(x))

    def hold(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """The same of a picture with these statistics of its own."""
        if self._place == len(self.means):
            self.means.append(mean)
            self.variances.append(variance)
        else:
            # Unchanged to the last bit where nothing has changed.
            for held, own in ((self.means, mean), (self.variances, variance)):
                held[self._place] = own.lerp(held[self._place], self.keep)
        self._place += 1
        return self.means[self._place - 1], self.variances[self._place - 1]
