"""Keep the photo's colours: luminance-only transfer and matching of colour statistics.

After Gatys, Bethge, Hertzmann and Shechtman, "Preserving color in neural artistic style transfer"
(2016), arXiv:1606.05897. Images are RGB in [0, 1], sRGB-coded, shape (B, 3, H, W).
"""

import torch
from torch import Tensor

from impasto.errors import InputError

__all__ = ["luminance", "luminance_transfer", "match_statistics", "statistics_map"]

# Linear sRGB -> CIE XYZ, D65, 2 degree observer (IEC 61966-2-1).
_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_DELTA = 6 / 29  # where CIE L*a*b* goes from the cube root to a straight line
_BISECTIONS = 16  # chroma is found to 2^-16 of itself, far below one 8-bit level
_ROUNDING_VARIANCE = 1 / (
    12 * 255**2
)  # of a value rounded to 8 bits: what is below it is no colour


def luminance(image: Tensor) -> Tensor:
    """Perceived lightness, CIE L* / 100: (B, 1, H, W) in [0, 1], differentiable.

    L* and not the Y' of YIQ: equal steps look equally large, and `luminance_transfer` leaves it as
    it is.
    """
    return _to_lab(_rgb(image))[:, :1] / 100


@torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator]
def luminance_transfer(output: Tensor, content: Tensor) -> Tensor:
    """The lightness L* of `output` with the hue and chroma (a*, b*) of `content`.

    Gatys 2016, "luminance-only transfer". output: (B, 3, H, W); content: the same shape or a batch
    of one. CIE L*a*b* stands in for the paper's YIQ, so that chroma looks as strong on the new
    lightness as it did on the old. Where such a colour does not exist in sRGB its chroma is
    lowered, at the same lightness and hue, until it does.
    """
    output, content = _rgb(output), _rgb(content)
    if content.shape[2:] != output.shape[2:] or content.shape[0] not in (1, output.shape[0]):
        raise InputError(
            f"content {tuple(content.shape)} does not fit {tuple(output.shape)}; resize it first"
        )
    light, chroma = _to_lab(output)[:, :1], _to_lab(content)[:, 1:].expand(len(output), -1, -1, -1)
    rgb = _linear_from_lab(torch.cat([light, chroma], dim=1))
    outside = ((rgb < -1e-6) | (rgb > 1 + 1e-6)).any(dim=1)
    if outside.any():
        # (N, 3, 1, 1) of only the colours in question; a grey of any lightness is always inside.
        light, chroma = (t.movedim(1, -1)[outside][..., None, None] for t in (light, chroma))
        low, high = torch.zeros_like(light), torch.ones_like(light)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            tried = _linear_from_lab(torch.cat([light, middle * chroma], dim=1))
            inside = ((tried >= 0) & (tried <= 1)).all(dim=1, keepdim=True)
            low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
        rgb = rgb.movedim(1, -1).contiguous()
        rgb[outside] = _linear_from_lab(torch.cat([light, low * chroma], dim=1))[..., 0, 0]
        rgb = rgb.movedim(-1, 1)
    return _encode(rgb).contiguous()


def statistics_map(
    source: Tensor,
    target: Tensor,
    seen: Tensor | None = None,
    target_seen: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The linear map of colours x -> A x + b that gives `source` the mean and covariance of
    `target`.

    `seen`, `target_seen`: how much each pixel counts, (1, 1, H, W) in [0, 1]; all alike if None.

    Returns A (B, 3, 3) and b (B, 3) in float64 on the CPU; the pictures may differ in size, and
    `target` may be a batch of one. Gatys 2016 asks for A S A' = T, which leaves A open; of all such
    maps this is the one that moves colours least, the Monge-Kantorovich map of Pitie and Kokaram
    (2007). It is symmetric, and the identity where the statistics agree: A = T^1/2 (T^1/2 S
    T^1/2)^-1/2 T^1/2.

    S may be singular. The root is then inverted where it can be, which is the limit of the map as
    the missing variance goes to zero: a grey source gets the target's mean colour and varies along
    its colours as lightness does, and one colour becomes the target's mean.
    """
    source, target = _rgb(source), _rgb(target)
    if target.shape[0] not in (1, source.shape[0]):
        raise InputError(
            f"{target.shape[0]} targets for {source.shape[0]} sources; give one, or one for each"
        )
    (mean_s, cov_s), (mean_t, cov_t) = _statistics(source, seen), _statistics(target, target_seen)
    values, vectors = torch.linalg.eigh(cov_s)
    values = torch.where(values < _ROUNDING_VARIANCE, 0.0, values)
    cov_s = (vectors * values[:, None]) @ vectors.mT
    root = _power(cov_t, 0.5)
    matrix = root @ _power(root @ cov_s @ root, -0.5) @ root
    return matrix, mean_t - (matrix @ mean_s[..., None])[..., 0]


@torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator]
def match_statistics(
    source: Tensor,
    target: Tensor,
    seen: Tensor | None = None,
    target_seen: Tensor | None = None,
) -> Tensor:
    """`source` (B, 3, H, W) with the colour mean and covariance of `target`, by `statistics_map`,
    clamped.

    Gatys 2016, "color histogram matching": match the style to the photo before the
    transfer, and the result has the photo's colours.
    """
    matrix, offset = (t.to(source) for t in statistics_map(source, target, seen, target_seen))
    return (torch.einsum("bij,bjhw->bihw", matrix, source) + offset[..., None, None]).clamp(0, 1)


def _rgb(image: Tensor) -> Tensor:
    if image.ndim != 4 or image.shape[1] != 3 or image.numel() == 0:
        raise InputError(f"a tensor of shape {tuple(image.shape)} is not RGB; give (B, 3, H, W)")
    return image


def _to_lab(image: Tensor) -> Tensor:
    linear = torch.where(
        image <= 0.04045, image / 12.92, ((image.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    )
    matrix, white = _matrix(image)
    t = torch.einsum("ij,bjhw->bihw", matrix, linear) / white
    # The clamp keeps the gradient of the branch not taken finite.
    f = torch.where(t > _DELTA**3, t.clamp(min=_DELTA**3) ** (1 / 3), t / (3 * _DELTA**2) + 4 / 29)
    x, y, z = f.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def _linear_from_lab(lab: Tensor) -> Tensor:
    """Linear RGB, outside [0, 1] where sRGB has no such colour."""
    light, a, b = lab.unbind(1)
    y = (light + 16) / 116
    f = torch.stack([y + a / 500, y, y - b / 200], dim=1)
    matrix, white = _matrix(lab)
    xyz = torch.where(f > _DELTA, f**3, 3 * _DELTA**2 * (f - 4 / 29)) * white
    return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(matrix), xyz)


def _matrix(like: Tensor) -> tuple[Tensor, Tensor]:
    """RGB -> XYZ, and the XYZ of white as this very matrix has it, so that greys have no chroma at
    all.
    """
    matrix = torch.tensor(_XYZ, dtype=like.dtype, device=like.device)
    return matrix, matrix.sum(dim=1)[:, None, None]


def _encode(linear: Tensor) -> Tensor:
    bright = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    rgb: Tensor = torch.where(linear <= 0.0031308, 12.92 * linear, bright)
    return rgb.clamp(0, 1)


def _statistics(image: Tensor, seen: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean (B, 3) and covariance (B, 3, 3) of colours over pixels, float64 on the CPU."""
    colors = image.detach().cpu().double().flatten(2)
    if seen is None:
        mean = colors.mean(dim=2)
        centred = colors - mean[..., None]
        return mean, centred @ centred.mT / colors.shape[2]
    weights = seen.detach().cpu().double().flatten(2)
    weights = weights / weights.sum()
    mean = (colors * weights).sum(dim=2)
    centred = colors - mean[..., None]
    return mean, (centred * weights) @ centred.mT


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """A power of symmetric positive semidefinite (B, n, n); a negative one on its range only."""
    values, vectors = torch.linalg.eigh(matrix)
    kept = values > 1e-12 * values.amax(dim=1, keepdim=True).clamp(min=1e-12)
    powers = torch.where(kept, torch.where(kept, values, 1.0) ** exponent, 0.0)
    result: Tensor = (vectors * powers[:, None]) @ vectors.mT
    return result
