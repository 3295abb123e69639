import math

import pytest
import torch
from torch import nn

from aigv_reward.encoders import (
    FastConfig,
    FastPathway,
    SwinConfig,
    VideoSwin,
    init_encoder_weights,
)


def encoders() -> list[nn.Module]:
    swin = SwinConfig(embed_dim=32, depths=(2, 2), num_heads=(2, 4))
    return [VideoSwin(swin), FastPathway(FastConfig(max_frames=64))]


@pytest.mark.parametrize("encoder", encoders(), ids=lambda encoder: type(encoder).__name__)
def test_every_parameter_and_buffer_is_written(encoder):
    with torch.no_grad():
        for tensor in encoder.state_dict().values():
            tensor.fill_(torch.nan if tensor.is_floating_point() else -1)
    encoder.apply(init_encoder_weights)
    for name, tensor in encoder.state_dict().items():
        assert torch.isfinite(tensor).all() and (tensor != -1).all(), name


def test_scales():
    torch.manual_seed(0)
    swin, fast = (encoder.apply(init_encoder_weights) for encoder in encoders())
    attention = swin.layers[1].blocks[0].attn
    for weight in (attention.qkv.weight, attention.relative_position_bias_table):
        assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert attention.qkv.bias.abs().max() == 0
    conv = fast.stages[3][1].conv_b  # 64 -> 64 channels over 3 x 3
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.05)
    norm = fast.stages[0][0].norm_a
    assert norm.weight.eq(1).all() and norm.bias.eq(0).all()
    assert norm.running_mean.eq(0).all() and norm.running_var.eq(1).all()


def test_activations_keep_their_scale_in_training():
    torch.manual_seed(0)
    swin, fast = (encoder.apply(init_encoder_weights) for encoder in encoders())
    x = torch.randn(2, 4, 3, 32, 32)
    for encoder in (swin, fast):
        deviation = encoder(x).std().item()
        assert 0.1 < deviation < 10
