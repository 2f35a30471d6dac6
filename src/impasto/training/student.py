"""An encoder in training: centred inputs, weights as matrices, dead units that are revived.

The form folds exactly into an `Encoder`'s plain weights (`Student.folded`).
"""

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.networks.encoder import Architecture
from impasto.training.data import normals

__all__ = ["Student"]

_DEAD = 0.002  # a unit that fires at a smaller share of the positions has stopped learning
_MEAN_OF_RELU = 1 / math.sqrt(2 * math.pi)  # of a standard normal variable


class Student(nn.Module):
    """The network of `Encoder(architecture)` with float32 weights to train, at first random (He et
    al. 2015).

    `layers` are all of its layers, the internal ones included. `weights[layer]` is a matrix `(out,
    9 in)`, or `(out, 16 in)` for kernels of side 4, the shape in which Muon orthogonalises an
    update. The convolution sees its input minus the constant `centres[layer]`, `(in,)`: activations
    after a ReLU are all positive, and without centring one update could push all pre-activations of
    a narrow layer below zero at once, for good. The first layer, which sees pictures and is 3x3, is
    not centred, and it is not trained: `set_first` gives it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, architecture: Architecture, random: np.random.Generator) -> None:
        super().__init__()
        self.architecture = architecture
        self.layers = tuple(layer.name for layer in architecture.layers)
        self._table = {layer.name: layer for layer in architecture.layers}
        self._sources = architecture.sources
        self.weights, self.biases, self.centres = (
            nn.ParameterDict(),
            nn.ParameterDict(),
            nn.ParameterDict(),
        )
        for name, layer in self._table.items():
            source = self._sources[name]
            channels = self._table[source].width if source else 3
            fan_in = channels * layer.side**2
            self.weights[name] = nn.Parameter(
                normals(random, layer.width, fan_in) * math.sqrt(2 / fan_in)
            )
            self.biases[name] = nn.Parameter(torch.zeros(layer.width))
            self.centres[name] = nn.Parameter(torch.zeros(channels), requires_grad=False)
        for parameter in (self.weights[self.layers[0]], self.biases[self.layers[0]]):
            parameter.requires_grad_(False)
        self.register_buffer(
            "mean", torch.tensor(architecture.mean).view(1, 3, 1, 1), persistent=False
        )
        self.register_buffer(
            "std", torch.tensor(architecture.std).view(1, 3, 1, 1), persistent=False
        )

    def normalized(self, image: Tensor) -> Tensor:
        """`(B, 3, H, W)` in [0, 1] as the first convolution sees it."""
        return ((image - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def preactivations(
        self, image: Tensor, forced: Mapping[str, Tensor] | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """`(layer, values before its ReLU)` of all layers in order; after it they are
        `Encoder.features`.

        After a layer named in `forced` the network goes on from the features given there instead of
        its own.
        """
        for layer, _, z in self._walk(image, forced or {}):
            yield layer, z

    def _walk(
        self, image: Tensor, forced: Mapping[str, Tensor]
    ) -> Iterator[tuple[str, Tensor, Tensor]]:
        """`(layer, input, pre-activations)`; both are computed only when the iteration gets there."""
        values = {"": self.normalized(image)}
        for layer in self.layers:
            x = self._read(values, layer)
            z = self._convolved(x, layer)
            yield layer, x, z
            values[layer] = forced[layer] if layer in forced else F.relu(z)

    def _read(self, values: Mapping[str, Tensor], layer: str) -> Tensor:
        """The input of `layer`, from what the layers before it have given; the picture is named
        ``""``.
        """
        x = values[self._sources[layer]]
        return F.max_pool2d(x, 2) if self._table[layer].pool else x

    def readers(self, layer: str) -> tuple[str, ...]:
        """The layers that read `layer`."""
        return tuple(name for name, source in self._sources.items() if source == layer)

    def _convolved(self, x: Tensor, layer: str) -> Tensor:
        weight, bias = self._plain(layer)
        weight = weight.contiguous(memory_format=torch.channels_last)
        stride = self._table[layer].stride
        if self.architecture.padding == "reflect":
            with torch.autocast(
                x.device.type, enabled=False
            ):  # it would pad in float32, there and back
                x = F.pad(x, (1, 1, 1, 1), mode="reflect")
            return F.conv2d(x, weight, bias, stride)
        return F.conv2d(x, weight, bias, stride, padding=1)

    def _plain(self, layer: str) -> tuple[Tensor, Tensor]:
        """Kernel `(out, in, side, side)` and bias for inputs that are not centred."""
        side = self._table[layer].side
        kernel = self.weights[layer].view(len(self.biases[layer]), -1, side, side)
        # A product and a sum, not a matrix product: that would run in bfloat16 under mixed
        # precision.
        shift = (kernel.sum((2, 3)) * self.centres[layer]).sum(1)
        return kernel, self.biases[layer] - shift

    @torch.no_grad()
    def folded(self) -> dict[str, Tensor]:
        """`conv1_1.weight`, `conv1_1.bias`, `down1.weight`, … for `Encoder.load`; float32 copies on
        the CPU.
        """
        plain: dict[str, Tensor] = {}
        for layer in self.layers:
            kernel, bias = self._plain(layer)
            name = layer.replace("relu", "conv")
            plain[f"{name}.weight"] = kernel.cpu().clone(memory_format=torch.contiguous_format)
            plain[f"{name}.bias"] = bias.cpu().clone()
        return plain

    @torch.no_grad()
    def take(self, weights: Mapping[str, Tensor]) -> None:
        """Compute from now on what `weights`, as `folded` gives them, compute; centres stay as they
        are.

        Raises `KeyError` or `RuntimeError` for the weights of another architecture.
        """
        for layer in self.layers:
            name = layer.replace("relu", "conv")
            kernel, bias = (
                weights[f"{name}.{part}"].to(self.biases[layer]) for part in ("weight", "bias")
            )
            self.weights[layer].copy_(kernel.flatten(1))
            self.biases[layer].copy_(bias + (kernel.sum((2, 3)) * self.centres[layer]).sum(1))

    @torch.no_grad()
    def set_first(self, weight: Tensor, bias: Tensor) -> None:
        """Give the first layer its weights `(out, 27)` and biases `(out,)`."""
        self.weights[self.layers[0]].copy_(weight)
        self.biases[self.layers[0]].copy_(bias)

    @torch.no_grad()
    def standardize(
        self, image: Tensor, forced: Mapping[str, Tensor], std: Mapping[str, float]
    ) -> None:
        """Centre every layer but the first on `image` and scale it to pre-activations of the given
        `std`.

        Layer by layer, each on the output of those before (Mishkin and Matas 2015,
        arXiv:1511.06422).
        """
        picture = self.normalized(image)
        values = {"": picture, self.layers[0]: F.relu(self._convolved(picture, self.layers[0]))}
        for layer in self.layers[1:]:
            x = self._read(values, layer)
            self.centres[layer].copy_(x.float().mean((0, 2, 3)))
            spread = self._convolved(x, layer).float().std().clamp_min(1e-6)
            self.weights[layer].mul_(std[layer] / spread)
            values[layer] = forced[layer] if layer in forced else F.relu(self._convolved(x, layer))

    @torch.no_grad()
    def revive(
        self,
        image: Tensor,
        forced: Mapping[str, Tensor],
        layers: Iterable[str],
        random: np.random.Generator,
    ) -> dict[str, int]:
        """Units of `layers` that hardly ever fire on `image` begin anew; returns how many did, by
        layer.

        They get random incoming weights, scaled to unit variance and zero mean, and outgoing
        weights of zero: what the network computes stays the same until they have learnt something.
        Layers that no other reads have no outgoing weights and cannot be named.
        """
        revived: dict[str, int] = {}
        chosen = set(layers)
        for layer, x, z in self._walk(image, forced):
            if layer not in chosen:
                continue
            dead = ((z > 0).float().mean((0, 2, 3)) < _DEAD).nonzero()[:, 0]
            if len(dead):
                for reader in self.readers(layer):
                    self._disconnect(dead, reader)
                self._restart(dead, layer, x, random)
                revived[layer] = len(dead)
        return revived

    def _restart(self, units: Tensor, layer: str, x: Tensor, random: np.random.Generator) -> None:
        weight, bias = self.weights[layer], self.biases[layer]
        weight[units] = normals(random, len(units), weight.shape[1]).to(weight)
        bias[units] = 0.0
        z = self._convolved(x, layer)[:, units].float()
        std, mean = z.std((0, 2, 3)).clamp_min(1e-6), z.mean((0, 2, 3))
        weight[units] /= std[:, None]
        bias[units] = -mean / std

    def _disconnect(self, units: Tensor, layer: str) -> None:
        """Silence input channels `units` of `layer`; its bias takes over what centring them added."""
        kernel = self.weights[layer].view(len(self.biases[layer]), len(self.centres[layer]), -1)
        centre = self.centres[layer]
        self.biases[layer].sub_((kernel[:, units].sum(2) * centre[units]).sum(1))
        kernel[:, units] = 0.0
        centre[units] = _MEAN_OF_RELU
