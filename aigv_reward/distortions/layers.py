"""Pictures at several depths, seen by the moving camera and laid over each other."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from aigv_reward.distortions.camera import Camera


@dataclass(frozen=True)
class Layer:
    """A picture centred on the world, and how far it follows the camera.

    Attributes:
        image: (3, h, w), or (4, h, w) with colours premultiplied by the last channel, its cover.
        depth: 1 moves with the world, 0 stands still on the screen.
    """

    image: Tensor
    depth: float

    def with_image(self, image: Tensor) -> "Layer":
        """The same layer with another picture."""
        return Layer(image, self.depth)

    def extent(self) -> tuple[int, int]:
        """First row with anything in it, and first row from which everything is covered."""
        height = self.image.shape[1]
        if self.image.shape[0] == 3:
            return -height, -height
        some = (self.image[3].amax(dim=1) > 0).nonzero()
        bare = (self.image[3].amin(dim=1) < 1).nonzero()
        return int(some[0]) if len(some) else height, int(bare[-1]) + 1 if len(bare) else -height


def cut_out(image: Tensor, cover: Tensor, depth: float) -> Layer:
    """A layer of a picture (3, h, w) that shows only where `cover` (h, w) is above 0."""
    return Layer(torch.cat((image * cover, cover[None])), depth)


def draw_layers(layers: Sequence[Layer], camera: Camera, height: int, width: int) -> Tensor:
    """What the camera sees of the layers, the last one in front.

    Rows that a layer in front covers in every frame are not drawn behind it.

    Args:
        layers: from back to front; the first one fills the frame.
        camera: the path of the frames to draw.
        height, width: size of the frames in pixels.

    Returns:
        (T, 3, H, W) float.
    """
    size = (height, width)
    bottom = height
    spans: list[tuple[int, int]] = []
    for layer in reversed(layers):
        view = camera.at_depth(layer.depth)
        some, solid = layer.extent()
        canvas = layer.image.shape[1]
        first = view.rows_below(some, size, canvas)[0] if some > -canvas else 0
        spans.append((first, bottom))
        covered = view.rows_below(solid, size, canvas)[1] if solid > -canvas else 0
        bottom = min(bottom, covered)
    frames = torch.zeros(len(camera.x), 3, height, width)
    for layer, (first, last) in zip(layers, reversed(spans), strict=True):
        if first >= last:
            continue
        view = camera.at_depth(layer.depth)
        view = view.between(0, 1) if view.still else view
        canvas_size = (layer.image.shape[1], layer.image.shape[2])
        grid = view.grid((first, last), size, canvas_size)
        source = layer.image[None].expand(grid.shape[0], -1, -1, -1)
        picture = F.grid_sample(source, grid, padding_mode="border", align_corners=False)
        target = frames[:, :, first:last]
        if picture.shape[1] == 3:
            target.copy_(picture.expand_as(target))
        else:
            target.mul_(1 - picture[:, 3:]).add_(picture[:, :3])
    return frames
