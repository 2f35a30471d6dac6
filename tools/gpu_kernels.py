# ruff: noqa: N803  (constants of a kernel are written large)
"""The kernels of `impasto.networks.kernels` and Gram matrices for one NVIDIA GPU, in Triton.

PyTorch's own borders and instance norms know no channels-last memory there: half of a training
step would go to copies from one layout to the other. `install` puts these in their place, for
bfloat16 pictures in channels-last memory; all else goes the way it went.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

import impasto.networks.encoder as encoder
import impasto.networks.instance_norm as instance_norm
import impasto.networks.transform_net as transform_net
import impasto.training.perceptual as perceptual
from impasto.losses.precision import wide

_BANDS = 16  # a Gram matrix is a sum of products: one alone would keep few processors busy


def install() -> None:
    """Replace the kernels that networks and losses were given."""
    encoder.conv_relu = _fitting(_ConvReLU.apply, encoder.conv_relu)
    transform_net.padded_convolution = _fitting(
        _PaddedConvolution.apply, transform_net.padded_convolution
    )
    instance_norm.instance_norm = _fitting(
        lambda x, scale, shift, epsilon, *, relu=False: _Norm.apply(x, scale, shift, epsilon, relu),
        instance_norm.instance_norm,
    )
    perceptual.cooccurrence = cooccurrence
    encoder.Encoder._pool = _pooled  # type: ignore[method-assign]


def _fitting(fast: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    def chosen(x: Tensor, *args: Any, **options: Any) -> Any:
        return (fast if fits(x) else plain)(x, *args, **options)

    return chosen


def fits(x: Tensor) -> bool:
    """Whether these kernels are for `x`."""
    return x.dtype == torch.bfloat16 and x.is_contiguous(memory_format=torch.channels_last)


def _like(x: Tensor, height: int, width: int) -> Tensor:
    return torch.empty(
        (x.shape[0], x.shape[1], height, width),
        dtype=x.dtype,
        device=x.device,
        memory_format=torch.channels_last,
    )


# ------------------------------------------------------------------------------------ borders


@triton.jit
def _pad_kernel(
    x,
    y,
    height,
    width,
    channels: tl.constexpr,  # constants: to divide by a number that is not costs more than to copy
    P: tl.constexpr,
    REFLECT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0)
    padded_height, padded_width = height + 2 * P, width + 2 * P
    picture, line = row // padded_height, row % padded_height - P
    if REFLECT:
        line = tl.where(line < 0, -line, line)
        line = tl.where(line >= height, 2 * (height - 1) - line, line)
    else:
        line = tl.minimum(tl.maximum(line, 0), height - 1)
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    column, channel = place // channels - P, place % channels
    if REFLECT:
        column = tl.where(column < 0, -column, column)
        column = tl.where(column >= width, 2 * (width - 1) - column, column)
    else:
        column = tl.minimum(tl.maximum(column, 0), width - 1)
    inside = place < padded_width * channels
    start = (picture.to(tl.int64) * height + line) * width
    value = tl.load(x + (start + column) * channels + channel, mask=inside)
    tl.store(y + row.to(tl.int64) * padded_width * channels + place, value, mask=inside)


@triton.jit
def _fold_kernel(
    g,
    x,
    height,
    width,
    channels: tl.constexpr,
    P: tl.constexpr,
    REFLECT: tl.constexpr,
    K: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Every position gathers the `K` rows and `K` columns, at most, that were copied from it."""
    row = tl.program_id(0)
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    column, channel = place // channels, place % channels
    inside = place < width * channels
    line = place * 0 + row % height
    picture = (row // height).to(tl.int64)
    total = tl.zeros((BLOCK,), dtype=tl.float32)
    for i in tl.static_range(K):
        if i == 0:
            down, is_row = line + P, line >= 0
        elif REFLECT and i == 1:
            down, is_row = P - line, (line >= 1) & (line <= P)
        elif REFLECT:
            down = P + 2 * (height - 1) - line
            is_row = (line >= height - 1 - P) & (line <= height - 2)
        elif i <= P:
            down, is_row = line * 0 + i - 1, line == 0
        else:
            down, is_row = line * 0 + i - 1 + height, line == height - 1
        start = (picture * (height + 2 * P) + down) * (width + 2 * P)
        for j in tl.static_range(K):
            if j == 0:
                right, is_column = column + P, column >= 0
            elif REFLECT and j == 1:
                right, is_column = P - column, (column >= 1) & (column <= P)
            elif REFLECT:
                right = P + 2 * (width - 1) - column
                is_column = (column >= width - 1 - P) & (column <= width - 2)
            elif j <= P:
                right, is_column = column * 0 + j - 1, column == 0
            else:
                right, is_column = column * 0 + j - 1 + width, column == width - 1
            mask = inside & is_row & is_column
            value = tl.load(g + (start + right) * channels + channel, mask=mask, other=0.0)
            total += value.to(tl.float32)
    out = x + row.to(tl.int64) * width * channels + place
    tl.store(out, total.to(x.dtype.element_ty), mask=inside)


def padded(x: Tensor, margin: int, mode: str) -> Tensor:
    """`F.pad` by `margin` on all sides, channels-last."""
    batch, channels, height, width = x.shape
    y = _like(x, height + 2 * margin, width + 2 * margin)
    grid = (batch * (height + 2 * margin), triton.cdiv((width + 2 * margin) * channels, 1024))
    _pad_kernel[grid](
        x, y, height, width, channels, P=margin, REFLECT=mode == "reflect", BLOCK=1024
    )
    return y


def folded(g: Tensor, margin: int, mode: str) -> Tensor:
    """The gradient of `padded`."""
    g = g.contiguous(memory_format=torch.channels_last)
    batch, channels, height, width = g.shape
    height, width = height - 2 * margin, width - 2 * margin
    x = _like(g, height, width)
    reflect = mode == "reflect"
    grid = (batch * height, triton.cdiv(width * channels, 1024))
    _fold_kernel[grid](
        *(g, x, height, width, channels),
        P=margin,
        REFLECT=reflect,
        K=3 if reflect else 1 + 2 * margin,
        BLOCK=1024,
    )
    return x


# ------------------------------------------------------------------------------------ convolutions


@triton.jit
def _bias_relu_kernel(x, bias, count, channels: tl.constexpr, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < count
    value = tl.load(x + place, mask=inside).to(tl.float32)
    value += tl.load(bias + place % channels, mask=inside).to(tl.float32)
    tl.store(x + place, tl.maximum(value, 0.0).to(x.dtype.element_ty), mask=inside)


def _backward(
    grad: Tensor, x: Tensor, kernel: Tensor, stride: int, wanted: list[bool]
) -> tuple[Tensor | None, Tensor | None]:
    grad = grad.contiguous(memory_format=torch.channels_last)
    of_x, of_kernel, _ = torch.ops.aten.convolution_backward(
        *(grad, x, kernel, None),
        *([stride] * 2, [0, 0], [1, 1], False, [0, 0], 1, [*wanted, False]),
    )
    return of_x, of_kernel


class _ConvReLU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, padding: str, stride: int = 1
    ) -> Tensor:
        assert padding == "reflect"
        y = F.conv2d(padded(x, 1, padding), weight, None, stride)
        y = y.contiguous(memory_format=torch.channels_last)
        _bias_relu_kernel[(triton.cdiv(y.numel(), 2048),)](
            y, bias, y.numel(), y.shape[1], BLOCK=2048
        )
        ctx.shape, ctx.stride = x.shape, stride
        ctx.save_for_backward(y, weight)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        y, weight = ctx.saved_tensors
        grad = torch.ops.aten.threshold_backward(
            grads[0].contiguous(memory_format=torch.channels_last), y, 0
        )
        height, width = ctx.shape[2:]
        like = torch.empty(  # only its shape and layout are looked at
            (*ctx.shape[:2], height + 2, width + 2), dtype=y.dtype, device=y.device
        ).contiguous(memory_format=torch.channels_last)
        of_x, _ = _backward(grad, like, weight, ctx.stride, [True, False])
        assert of_x is not None
        return folded(of_x, 1, "reflect"), None, None, None, None


class _PaddedConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, stride: int, mode: str) -> Tensor:
        kernel = kernel.contiguous(memory_format=torch.channels_last)
        x = padded(x, kernel.shape[-1] // 2, mode)
        ctx.stride, ctx.mode = stride, mode
        ctx.save_for_backward(x, kernel)
        return F.conv2d(x, kernel, stride=stride).contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, kernel = ctx.saved_tensors
        of_x, of_kernel = _backward(grads[0], x, kernel, ctx.stride, list(ctx.needs_input_grad[:2]))
        if of_x is not None:
            of_x = folded(of_x, kernel.shape[-1] // 2, ctx.mode)
        return of_x, of_kernel, None, None


# ------------------------------------------------------------------------------------ pooling


@triton.jit
def _pool_kernel(
    x,
    y,
    g,
    height,
    width,
    channels: tl.constexpr,
    GRADIENT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The largest of two by two; or the slope of each, where it is that, in `x`'s place in `y`."""
    row = tl.program_id(0).to(tl.int64)  # of the small map, all pictures one below the other
    picture, line = row // (height // 2), row % (height // 2)
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    small = width // 2
    inside = place < small * channels
    column, channel = place // channels, place % channels
    start = ((picture * height + 2 * line) * width + 2 * column) * channels + channel
    a = tl.load(x + start, mask=inside).to(tl.float32)
    b = tl.load(x + start + channels, mask=inside).to(tl.float32)
    c = tl.load(x + start + width * channels, mask=inside).to(tl.float32)
    d = tl.load(x + start + (width + 1) * channels, mask=inside).to(tl.float32)
    largest = tl.maximum(tl.maximum(a, b), tl.maximum(c, d))
    here = row * small * channels + place
    if GRADIENT:
        slope = tl.load(g + here, mask=inside).to(tl.float32)
        is_b = (b == largest) & (a != largest)
        is_c = (c == largest) & (a != largest) & (b != largest)
        is_d = (a != largest) & (b != largest) & (c != largest)
        tl.store(y + start, tl.where(a == largest, slope, 0.0).to(x.dtype.element_ty), mask=inside)
        tl.store(
            y + start + channels, tl.where(is_b, slope, 0.0).to(x.dtype.element_ty), mask=inside
        )
        tl.store(
            y + start + width * channels,
            tl.where(is_c, slope, 0.0).to(x.dtype.element_ty),
            mask=inside,
        )
        tl.store(
            y + start + (width + 1) * channels,
            tl.where(is_d, slope, 0.0).to(x.dtype.element_ty),
            mask=inside,
        )
    else:
        tl.store(y + here, largest.to(x.dtype.element_ty), mask=inside)


class _MaxPool(torch.autograd.Function):
    """`F.max_pool2d(x, 2)` of even sizes; of equals the first takes the slope."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = _like(x, x.shape[2] // 2, x.shape[3] // 2)
        ctx.save_for_backward(x)
        _MaxPool._run(x, y, x, False)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        of_x = _like(x, x.shape[2], x.shape[3])
        _MaxPool._run(x, of_x, grads[0].contiguous(memory_format=torch.channels_last), True)
        return of_x

    @staticmethod
    def _run(x: Tensor, y: Tensor, g: Tensor, is_gradient: bool) -> None:
        batch, channels, height, width = x.shape
        grid = (batch * height // 2, triton.cdiv(width // 2 * channels, 512))
        _pool_kernel[grid](x, y, g, height, width, channels, GRADIENT=is_gradient, BLOCK=512)


def _pooled(self: encoder.Encoder, x: Tensor) -> Tensor:
    if self.pooling == "max" and fits(x) and x.shape[2] % 2 == x.shape[3] % 2 == 0:
        return _MaxPool.apply(x)  # type: ignore[no-any-return, no-untyped-call]
    return F.max_pool2d(x, 2) if self.pooling == "max" else F.avg_pool2d(x, 2)


# ------------------------------------------------------------------------------------ norms


@triton.jit
def _sums_kernel(
    x,
    g,
    y,
    mean,
    inverse,
    sums,
    positions,
    channels,
    GRADIENT: tl.constexpr,
    RELU: tl.constexpr,
    ROWS: tl.constexpr,
    C: tl.constexpr,
):
    """Of a share of the positions of a picture: sums of x and x^2; or of g and g (x - mean) / sd."""
    picture, share, shares = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    channel = tl.program_id(2) * C + tl.arange(0, C)
    inside = channel < channels
    first = tl.zeros((C,), dtype=tl.float32)
    second = tl.zeros((C,), dtype=tl.float32)
    if GRADIENT:
        m = tl.load(mean + picture * channels + channel, mask=inside, other=0.0)
        r = tl.load(inverse + picture * channels + channel, mask=inside, other=0.0)
    each = tl.cdiv(positions, shares)
    base = picture.to(tl.int64) * positions
    for start in range(0, each, ROWS):
        row = start + tl.arange(0, ROWS)
        row_at = share * each + row
        mask = ((row < each) & (row_at < positions))[:, None] & inside[None, :]
        place = (base + row_at)[:, None] * channels + channel[None, :]
        value = tl.load(x + place, mask=mask, other=0.0).to(tl.float32)
        if GRADIENT:
            slope = tl.load(g + place, mask=mask, other=0.0).to(tl.float32)
            if RELU:
                slope = tl.where(tl.load(y + place, mask=mask, other=0.0) > 0, slope, 0.0)
            value = (value - m[None, :]) * r[None, :]
            first += tl.sum(slope, axis=0)
            second += tl.sum(slope * value, axis=0)
        else:
            first += tl.sum(value, axis=0)
            second += tl.sum(value * value, axis=0)
    out = (picture * shares + share) * 2 * channels + channel
    tl.store(sums + out, first, mask=inside)
    tl.store(sums + out + channels, second, mask=inside)


@triton.jit
def _affine_kernel(
    x,
    g,
    y,
    a,
    b,
    c,
    out,
    positions,
    channels: tl.constexpr,
    GRADIENT: tl.constexpr,
    RELU: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """`a x + c`, or `a g + b x + c`, with numbers of the picture and the channel."""
    picture = tl.program_id(0)
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = place < positions * channels
    which = picture * channels + place % channels
    place = picture.to(tl.int64) * positions * channels + place
    value = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
    scale = tl.load(a + which, mask=inside, other=0.0)
    shift = tl.load(c + which, mask=inside, other=0.0)
    if GRADIENT:
        slope = tl.load(g + place, mask=inside, other=0.0).to(tl.float32)
        if RELU:
            slope = tl.where(tl.load(y + place, mask=inside, other=0.0) > 0, slope, 0.0)
        result = scale * slope + tl.load(b + which, mask=inside, other=0.0) * value + shift
    else:
        result = scale * value + shift
        if RELU:
            result = tl.maximum(result, 0.0)
    tl.store(out + place, result.to(out.dtype.element_ty), mask=inside)


def _sums(x: Tensor, relu: bool, *gradient: Tensor) -> tuple[Tensor, Tensor]:
    batch, channels, height, width = x.shape
    positions = height * width
    shares = max(1, min(64, positions // 256))
    width = min(64, triton.next_power_of_2(channels))
    sums = torch.empty(batch, shares, 2, channels, device=x.device)
    _sums_kernel[(batch, shares, triton.cdiv(channels, width))](
        *(x, *(gradient or (x,) * 4), sums, positions, channels),
        GRADIENT=bool(gradient),
        RELU=relu,
        ROWS=128,
        num_warps=8,
        C=width,
    )
    first, second = sums.sum(1).unbind(1)
    return first, second


def _affine(x: Tensor, relu: bool, a: Tensor, c: Tensor, *gradient: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    out = _like(x, height, width)
    g, y, b = gradient or (x, x, a)
    _affine_kernel[(batch, triton.cdiv(height * width * channels, 2048))](
        *(x, g, y, a.contiguous(), b.contiguous(), c.contiguous(), out, height * width, channels),
        GRADIENT=bool(gradient),
        RELU=relu,
        BLOCK=2048,
    )
    return out


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, epsilon: float, relu: bool
    ) -> Tensor:
        count = x.shape[2] * x.shape[3]
        first, second = _sums(x, relu)
        mean = first / count
        inverse = ((second / count - mean.square()).clamp_min(0) + epsilon).rsqrt()
        a = (inverse * scale).contiguous()
        y = _affine(x, relu, a, shift - mean * a)
        ctx.relu, ctx.count = relu, count
        ctx.save_for_backward(x, y, mean, inverse, a)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        x, y, mean, inverse, a = ctx.saved_tensors
        g = grads[0].contiguous(memory_format=torch.channels_last)
        of_shift, of_scale = _sums(x, ctx.relu, g, y, mean, inverse)
        b = a * inverse * of_scale / -ctx.count
        of_x = _affine(x, ctx.relu, a, -b * mean - a * of_shift / ctx.count, g, y, b)
        return of_x, of_scale, of_shift, None, None


# ------------------------------------------------------------------------------------ Gram matrices


def _product(a: Tensor, b: Tensor) -> Tensor:
    """`a^T b` of `(N, P, C)` bfloat16, in float32."""
    if a.is_cuda:
        return torch.bmm(a.mT, b, out_dtype=torch.float32)
    return a.mT.float() @ b.float()


class _Products(torch.autograd.Function):
    """`impasto.losses.gram.cooccurrence` of bfloat16 features, times the positions.

    No copy is made of features beside themselves: bands run over all pictures of the batch as one
    row of positions, and what the end of a picture had to do with the start of the next is taken
    off again.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, shift: int) -> Tensor:
        batch, channels, height, width = features.shape
        positions = height * width
        flat = features.permute(0, 2, 3, 1).reshape(batch, positions, channels)
        ctx.shift, ctx.size = shift, (height, width)
        ctx.save_for_backward(flat)
        bands = max(1, min(_BANDS, positions // (2 * channels)))
        bands = bands if positions % bands == 0 else 1
        length = positions // bands
        if shift >= length:
            return _product(flat[:, : positions - shift], flat[:, shift:])
        count = batch * bands - (shift > 0)  # the last band has nothing behind it
        here, there = (
            flat.as_strided(
                (count, length, channels),
                (length * channels, channels, 1),
                flat.storage_offset() + start * channels,
            )
            for start in (0, shift)
        )
        parts = torch.empty(batch * bands, channels, channels, device=flat.device)
        parts[:count] = _product(here, there)
        if shift:
            parts[count:] = _product(
                flat[-1:, positions - length : positions - shift],
                flat[-1:, positions - length + shift :],
            )
        total = parts.view(batch, bands, channels, channels).sum(1)
        if shift:
            total[:-1] -= _product(flat[:-1, positions - shift :], flat[1:, :shift])
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (flat,) = ctx.saved_tensors
        batch, positions, channels = flat.shape
        if shift := ctx.shift:
            slope, reached = grads[0].to(flat.dtype), positions - shift
            of_flat = torch.empty_like(flat)
            of_flat[:, reached:] = 0
            torch.bmm(flat[:, shift:], slope.mT, out=of_flat[:, :reached])
            of_flat[:, shift:].baddbmm_(flat[:, :reached], slope)
        else:
            of_flat = torch.bmm(flat, (grads[0] + grads[0].mT).to(flat.dtype))
        return of_flat.view(batch, *ctx.size, channels).permute(0, 3, 1, 2), None


def cooccurrence(features: Tensor, down: int = 0, right: int = 0) -> Tensor:
    """As `impasto.losses.gram.cooccurrence`."""
    shift = down * features.shape[3] + right
    positions = features.shape[2] * features.shape[3] - shift
    if fits(features):
        return _Products.apply(features, shift) / positions  # type: ignore[no-any-return, no-untyped-call]
    flat = wide(features).flatten(2)
    return flat[..., :positions] @ flat[..., shift:].mT / positions
