from collections.abc import Callable

import pytest
import torch
from torch import Tensor

LAYOUTS = ("channels_last", "channels_first", "every_second_frame", "flipped_axes")


@pytest.fixture
def noise() -> Callable[..., Tensor]:
    """Uniform noise of a shape: the hardest frames for resampling to get right."""

    def make(*shape: int, dtype: torch.dtype = torch.uint8, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        if dtype == torch.uint8:
            return torch.randint(0, 256, shape, generator=generator, dtype=dtype)
        return torch.rand(shape, generator=generator, dtype=dtype)

    return make


@pytest.fixture(params=LAYOUTS)
def relayout(request: pytest.FixtureRequest) -> Callable[[Tensor], Tensor]:
    """The same (B, T, 3, H, W) values in another memory layout."""

    def channels_last(frames: Tensor) -> Tensor:
        return frames.movedim(2, -1).contiguous().movedim(-1, 2)

    def apply(frames: Tensor) -> Tensor:
        if request.param == "channels_last":
            return channels_last(frames)
        if request.param == "every_second_frame":
            return channels_last(frames.repeat_interleave(2, dim=1))[:, 1::2]
        if request.param == "flipped_axes":
            return frames.transpose(-1, -2).contiguous().transpose(-1, -2)
        return frames.contiguous()

    return apply
