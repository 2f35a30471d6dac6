"""Any style picture to a style vector, at once (Ghiasi et al. 2017, arXiv:1705.06830).

Where the paper reads a style with an Inception network trained along, this reads what the encoder
of the losses already knows of it: mean and root mean square of every channel at five depths. That
is what instance norms can impose, it mixes linearly (blends and crops of pictures are exact), and
it costs no network of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["StylePredictor", "StylePredictorConfig", "encode_style"]


@dataclass(frozen=True)
class StylePredictorConfig:
    """How many numbers there are at each stage, from `encode_style` to the style vector.

    `description` -> principal `components` -> `hidden` units, in `layers` layers -> `embedding`
    (Ghiasi et al. have 100) -> `vector`.
    """

    description: int
    vector: int
    components: int = 256
    hidden: int = 512
    embedding: int = 128
    layers: int = 2


class StylePredictor(nn.Module):
    """What `encode_style` says of a style, `(B, description)`, -> style vectors `(B, vector)`,
    float32.

    Channels of an encoder rise and fall together; a fixed projection on their principal components
    comes first. The last map is linear: between two embeddings lie exactly the vectors between
    theirs.
    """

    center: Tensor
    axes: Tensor

    def __init__(self, config: StylePredictorConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("center", torch.zeros(config.description))
        self.register_buffer("axes", torch.zeros(config.components, config.description))
        self.read = nn.Linear(config.components, config.hidden)
        self.think = nn.ModuleList(
            nn.Linear(config.hidden, config.hidden) for _ in range(config.layers - 1)
        )
        self.embed = nn.Linear(config.hidden, config.embedding)
        self.speak = nn.Linear(config.embedding, config.vector)
        nn.init.normal_(self.speak.weight, std=0.01)
        nn.init.zeros_(self.speak.bias)

    @torch.no_grad()
    def fit_pca(self, descriptions: Tensor) -> None:
        """Set centre and axes from usual `(N, description)`: nothing else here knows their scale.

        Components are brought to like size, but the smaller of them less so: they are mostly noise.
        A single description, or several of one style, has none: every style is then the same to
        this predictor.
        """
        self.center.copy_(descriptions.mean(0))
        spread = descriptions.std(0, correction=min(1, len(descriptions) - 1))
        spread = spread + 0.1 * spread.mean()
        self.axes.zero_()
        if not spread.any():
            return
        standard = (descriptions - self.center) / spread
        _, sizes, axes = torch.linalg.svd(
            standard / max(1, len(standard) - 1) ** 0.5, full_matrices=False
        )
        # As many axes as descriptions differ along; what is left is rounding, and would be enlarged
        # beyond measure.
        kept = int((sizes[: self.config.components] > 1e-5 * sizes[0]).sum())
        sizes = sizes[:kept]
        scale = (sizes.square() + sizes[min(kept - 1, 24)].square()).rsqrt()
        self.axes[:kept] = axes[:kept] * scale[:, None] / spread

    def embedding(self, description: Tensor) -> Tensor:
        """The style as `(B, embedding)` numbers."""
        x = F.linear(description.float() - self.center.float(), self.axes.float())
        # A style unlike all that were seen must not speak louder than they did.
        x = F.silu(_linear(self.read, 4 * torch.tanh(x / 4)))
        for layer in self.think:
            assert isinstance(layer, nn.Linear)
            x = x + F.silu(_linear(layer, x))
        return _linear(self.embed, x)

    def forward(self, description: Tensor) -> Tensor:
        """See the class."""
        with torch.autocast(description.device.type, enabled=False):
            return _linear(self.speak, self.embedding(description))


def encode_style(
    means: Mapping[str, Tensor], seconds: Mapping[str, Tensor], layers: Sequence[str]
) -> Tensor:
    """`(B, C)` means and `(B, C)` mean squares by layer -> `(B, 2 sum C)`: means and root mean
    squares.
    """
    parts = [
        part.float()
        for layer in layers
        for part in (means[layer], seconds[layer].clamp_min(0).sqrt())
    ]
    return torch.cat(parts, dim=1)


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    return F.linear(x, layer.weight.float(), layer.bias.float())
