"""The encoders reproduce the tokens recorded from the published implementation."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BlipVisionConfig

from aigv_reward.encoders import FastConfig, FastPathway, SemanticTower, SwinConfig, VideoSwin


def wave(shape: tuple[int, ...], phase: float) -> Tensor:
    """The recorded input (B, 3, T, H, W), as (B, T, 3, H, W)."""
    index = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    values = torch.sin(index * 0.7310 + phase) * 1.5
    return values.reshape(shape).float().transpose(1, 2)


@torch.no_grad()
def tokens(encoder: nn.Module, published, name: str, views: Tensor) -> Tensor:
    encoder.load_state_dict(published.weights(f"{name}."), strict=True)
    return encoder.eval()(views)


def assert_within_1e5_of_scale(actual: Tensor, expected: Tensor) -> None:
    """1e-5 of the largest token entry: motion tokens reach 43, where fp32 keeps 2e-5."""
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5 * scale)


def project(published, name: str, x: Tensor) -> Tensor:
    weights = published.weights(f"{name}.")
    return F.linear(x, weights["weight"], weights["bias"])


def test_technical_tokens(published):
    config = published.config
    encoder = VideoSwin(SwinConfig(config["swin_dim"], config["swin_depths"], config["swin_heads"]))
    pooled = tokens(encoder, published, "technical", wave((2, 3, 8, 224, 224), 0.2))
    actual = project(published, "technical_projection", pooled)[:, None].expand(-1, 32, -1)
    torch.testing.assert_close(
        actual, published.expected["views.technical_tokens"], rtol=0, atol=1e-5
    )


def test_motion_tokens(published):
    frames = tokens(FastPathway(FastConfig()), published, "motion", wave((2, 3, 32, 224, 224), 0.4))
    hidden = F.gelu(project(published, "motion_projection.0", frames))
    actual = project(published, "motion_projection.2", hidden)
    assert_within_1e5_of_scale(actual, published.expected["views.motion_tokens"])


def test_semantic_tokens(published):
    width = published.config["vit_dim"]
    tower_config = BlipVisionConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=published.config["vit_depth"],
        num_attention_heads=published.config["vit_heads"],
        image_size=224,
        patch_size=16,
        layer_norm_eps=1e-6,
    )
    tower = SemanticTower(tower_config, "cls")
    frames = tokens(tower, published, "semantic", wave((2, 3, 8, 224, 224), 0.1))
    actual = project(published, "semantic_projection", frames)
    torch.testing.assert_close(
        actual, published.expected["views.semantic_tokens"], rtol=0, atol=1e-5
    )
