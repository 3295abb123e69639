"""As much of Flow-Factory's remote client as a server meets."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image

from flow_factory.rewards import PointwiseRewardModel, RewardModelOutput


def png(frame: torch.Tensor) -> str:
    """A (C, H, W) frame in [0, 1] as the client sends it."""
    pixels = (frame.clamp(0, 1).permute(1, 2, 0).numpy() * 255).astype("uint8")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


class RemotePointwiseRewardModel(PointwiseRewardModel):
    required_fields = ("prompt", "image")

    use_tensor_inputs = True  # spares the processor of this folder its PIL images
    post: Callable[[str], str]  # the body of POST /compute to that of its answer

    def __call__(
        self, prompt: list[str], image: Any = None, video: Any = None, **kwargs: Any
    ) -> RewardModelOutput:
        body = {
            "prompt": prompt,
            "image": None,
            "video": [[png(frame) for frame in one] for one in video] if video else None,
            "condition_images": None,
            "condition_videos": None,
            "kwargs": kwargs or None,
        }
        answer = json.loads(self.post(json.dumps(body)))
        assert not answer.get("error")
        rewards = torch.tensor(answer["rewards"], dtype=torch.float32, device=self.device)
        return RewardModelOutput(rewards=rewards)
