"""A fully convolutional autoencoder, which reconstructs what it has often seen, and its reconstruction errors.

No layer covers a whole window, so the windows of a large image can be reconstructed in one pass.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)


class Autoencoder(nn.Module):
    """Strided convolutions down to a small code, transposed ones back to the image.

    Parameters
    ----------
    widths : sequence of int
        Channels after each halving; the encoder of Dong et al.'s convolutional autoencoders without its dense layers.
    slope : float
        Negative slope of the rectifiers.

    Attributes
    ----------
    stride
        Sides of images are multiples of it.
    """

    def __init__(self, *, widths: Sequence[int] = (16, 32, 64, 96, 128), slope: float = 0.1) -> None:
        super().__init__()
        self.stride = 2 ** len(widths)
        down: list[nn.Module] = []
        for inputs, outputs in zip((3, *widths[:-1]), widths, strict=True):
            down += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.LeakyReLU(slope, inplace=True)]
        up: list[nn.Module] = []
        for inputs, outputs in zip(widths[:0:-1], widths[-2::-1], strict=True):
            up += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(slope, inplace=True)]
        self.encoder, self.decoder = nn.Sequential(*down), nn.Sequential(*up)
        self.last = nn.ConvTranspose2d(widths[0], 3, 4, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruct normalised images (B, 3, H, W)."""
        returned: Tensor = self.last(self.decoder(self.encoder(images)))
        return returned


class SquaredErrors(nn.Module):
    """Squared reconstruction errors of an autoencoder, for inference.

    The last transposed convolution is computed as a convolution to the four pixels of each place, which is the same
    except for rounding and twice as fast on CPUs (Shi et al., "Real-Time Single Image and Video Super-Resolution Using
    an Efficient Sub-Pixel Convolutional Neural Network", CVPR 2016); the reconstruction is never assembled.
    """

    def __init__(self, network: Autoencoder) -> None:
        super().__init__()
        self.stride = network.stride
        self.body = copy.deepcopy(nn.Sequential(*network.encoder, *network.decoder))
        self.last = _to_four_pixels(network.last)
        self._at_once = self._rectifies_at_once()

    def forward(self, images: Tensor) -> Tensor:
        """Squared differences (B, H / 2, W / 2, 2, 2, 3): places of half the size, then rows, columns, colours."""
        batch, _, height, width = images.shape
        plain = images.device.type != "cpu" or torch.is_autocast_enabled("cpu") or not self._at_once
        body = self.body(images) if plain else self._rectified(images)
        found: Tensor = self.last(body).float().permute(0, 2, 3, 1)
        found = found.reshape(batch, height // 2, width // 2, 2, 6)
        rows = images.permute(0, 2, 3, 1).reshape(batch, height // 2, 2, width // 2, 6)
        for row in (0, 1):  # both at once would be three times slower, with a long stride after every six numbers
            found[..., row, :] -= rows[:, :, row]
        return found.square_().view(batch, height // 2, width // 2, 2, 2, 3)

    def _rectified(self, images: Tensor) -> Tensor:
        """Output of the body, with convolution and rectifier in one call: 10 % less CPU time."""
        for layer, rectifier in zip(self.body[::2], self.body[1::2], strict=True):
            weights, place = (layer.weight, layer.bias), (layer.stride, layer.dilation, layer.groups)
            rectify = ("leaky_relu", [rectifier.negative_slope], "")
            if isinstance(layer, nn.ConvTranspose2d):
                padding = (layer.padding, layer.output_padding)
                images = torch.ops.mkldnn._convolution_transpose_pointwise(images, *weights, *padding, *place, *rectify)
            else:
                images = torch.ops.mkldnn._convolution_pointwise(images, *weights, layer.padding, *place, *rectify)
        return images

    @torch.inference_mode()
    def _rectifies_at_once(self) -> bool:
        """Whether this torch has the function its compiler uses for that, with the same result."""
        image = torch.linspace(-1, 1, 3 * self.stride**2).view(1, 3, self.stride, self.stride)
        try:
            return torch.allclose(self._rectified(image), self.body(image), rtol=1e-3, atol=1e-5)
        except (AttributeError, TypeError, RuntimeError) as error:
            log.info("layers and rectifiers are computed separately: %s", error)
            return False


@torch.no_grad()
def _to_four_pixels(layer: nn.ConvTranspose2d) -> nn.Conv2d:
    """A transposed convolution (4 x 4, stride 2, padding 1) as a convolution whose outputs are (row, column, channel).

    The output in row 2 y + a is computed from the inputs in rows y + r with the kernel's row a - 2 r + 1.
    """
    inputs, outputs = layer.in_channels, layer.out_channels
    weight = torch.zeros(2, 2, outputs, inputs, 3, 3)
    taps = [(a, r, a - 2 * r + 1) for a in (0, 1) for r in (-1, 0, 1) if 0 <= a - 2 * r + 1 < 4]
    for row, down, kernel_row in taps:
        for column, across, kernel_column in taps:
            weight[row, column, :, :, down + 1, across + 1] = layer.weight[:, :, kernel_row, kernel_column].T
    folded = nn.Conv2d(inputs, 4 * outputs, 3, 1, 1)
    folded.weight.copy_(weight.view(4 * outputs, inputs, 3, 3))
    folded.bias.copy_(layer.bias.repeat(4))  # type: ignore[union-attr]
    return folded
