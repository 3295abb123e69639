import pytest
import torch
from torch import Tensor

from aigv_reward.distortions import render_scene


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def clip() -> Tensor:
    """A textured clip in which camera and objects move, uint8 (24, 3, 96, 144)."""
    return render_scene(5, num_frames=24, height=96, width=144).frames
