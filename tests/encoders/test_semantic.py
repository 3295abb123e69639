import pytest
import torch
import torch.nn.functional as F
from transformers import (
    BlipVisionConfig,
    BlipVisionModel,
    CLIPVisionConfig,
    Dinov2Config,
    SiglipVisionConfig,
    ViTConfig,
)

from aigv_reward.encoders import SemanticTower

WIDTHS = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}
MLP = {"intermediate_size": 64}
TOWERS = {
    "blip": BlipVisionConfig(**WIDTHS, **MLP),
    "siglip": SiglipVisionConfig(**WIDTHS, **MLP),
    "dinov2": Dinov2Config(**WIDTHS),
    "vit": ViTConfig(**WIDTHS, **MLP),
    "clip": CLIPVisionConfig(**WIDTHS, **MLP),
}


def tower(name: str, frame_token: str) -> SemanticTower:
    torch.manual_seed(0)
    return SemanticTower(TOWERS[name], frame_token).eval()


@pytest.mark.parametrize(
    ("name", "frame_token"),
    [
        *(("blip", "cls"), ("dinov2", "cls"), ("vit", "cls"), ("clip", "cls")),
        *(("blip", "pooled"), ("siglip", "pooled"), ("vit", "pooled"), ("clip", "pooled")),
    ],
)
def test_the_token_is_the_towers_own(name, frame_token):
    model = tower(name, frame_token)
    x = torch.randn(2, 3, 3, 32, 32)
    with torch.no_grad():
        actual = model(x)
        for video in range(2):
            output = model.tower(pixel_values=x[video])
            own = output.pooler_output if frame_token == "pooled" else output.last_hidden_state
            expected = own if frame_token == "pooled" else own[:, 0]
            torch.testing.assert_close(actual[video], expected, rtol=0, atol=1e-5)
    assert actual.shape == (2, 3, model.out_dim)


def test_out_dim_is_the_pooled_width_where_that_differs():
    config = ViTConfig(**WIDTHS, **MLP, pooler_output_size=48)
    model = SemanticTower(config, "pooled")
    assert model.out_dim == 48
    assert model(torch.randn(1, 2, 3, 32, 32)).shape == (1, 2, 48)


@pytest.mark.parametrize("frame_token", ["cls", "pooled"])
def test_blip_gives_the_tokens_and_gradients_of_transformers(frame_token):
    """Its own class computes every position of the last layer; only the frame's is used here."""
    model = tower("blip", frame_token).double()
    reference = BlipVisionModel(TOWERS["blip"]).double().eval()
    state = model.tower.state_dict()
    for value in state.values():
        value.copy_(torch.randn_like(value) / 4)
    reference.load_state_dict(state)
    x = torch.randn(1, 3, 3, 32, 32, dtype=torch.float64, requires_grad=True)
    output = reference(pixel_values=x[0])
    expected = output.pooler_output if frame_token == "pooled" else output.last_hidden_state[:, 0]
    weights = torch.randn(3, 32, dtype=torch.float64)
    actual = model(x)[0]
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)
    grads = [
        torch.autograd.grad((token * weights).sum(), [x, *blip.parameters()])
        for token, blip in ((actual, model.tower), (expected, reference))
    ]
    torch.testing.assert_close(*grads, rtol=0, atol=1e-12)
    assert all(grad.abs().max() > 1e-6 for grad in grads[0])


def test_cls_of_blip_is_normed_once():
    """Unit gain and no offset: mean 0 and variance 1, and not the twice-normed pooled output."""
    model = tower("blip", "cls")
    with torch.no_grad():
        model.tower.embeddings.class_embedding += torch.randn(32)
        token = model(torch.randn(1, 2, 3, 32, 32))
    torch.testing.assert_close(token.mean(-1), torch.zeros(1, 2), rtol=0, atol=1e-5)
    torch.testing.assert_close(token.var(-1, unbiased=False), torch.ones(1, 2), rtol=0, atol=1e-2)


def test_blip_at_another_size_interpolates_positions():
    """The same weights in a tower of that size, its positions interpolated by hand."""
    small, large = (
        tower("blip", "cls"),
        SemanticTower(BlipVisionConfig(**{**WIDTHS, **MLP, "image_size": 48}), "cls"),
    )
    state = small.state_dict()
    name = "tower.embeddings.position_embedding"
    grid = state[name][:, 1:].reshape(1, 4, 4, 32).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=(6, 6), mode="bicubic", align_corners=False)
    state[name] = torch.cat([state[name][:, :1], grid.flatten(2).transpose(1, 2)], dim=1)
    large.load_state_dict(state)
    x = torch.randn(1, 2, 3, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(small(x), large.eval()(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["blip", "siglip", "dinov2", "vit", "clip"])
def test_checkpointed_layers_are_the_encoder_layers(name):
    layers = tower(name, "pooled").checkpointed_layers()
    assert len(layers) == 2
    assert all(type(layer).__name__.endswith("Layer") for layer in layers)


def test_towers_use_sdpa_where_they_can():
    assert tower("siglip", "pooled").tower.config._attn_implementation == "sdpa"


def test_blip_ignores_a_request_for_sdpa():
    config = BlipVisionConfig(**WIDTHS, **MLP)
    config._attn_implementation = "sdpa"
    assert SemanticTower(config, "cls").tower.config._attn_implementation == "eager"
    assert config._attn_implementation == "sdpa"


def test_a_frame_has_the_same_token_alone_and_in_a_batch():
    model = tower("blip", "cls")
    x = torch.randn(3, 2, 3, 32, 32)
    with torch.no_grad():
        together = model(x)
        alone = torch.stack([torch.cat([model(f[None, None])[0] for f in v]) for v in x])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)


def test_building_takes_random_numbers_for_one_tower_only():
    torch.manual_seed(0)
    first = SemanticTower(TOWERS["vit"], "cls").tower.state_dict()
    torch.manual_seed(0)
    second = SemanticTower(TOWERS["vit"], "pooled").tower.state_dict()
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_built_without_storage():
    with torch.device("meta"):
        model = SemanticTower(TOWERS["blip"], "cls")
    assert all(parameter.is_meta for parameter in model.parameters())
    reference = tower("blip", "cls")
    model.load_state_dict(reference.state_dict(), assign=True)
    x = torch.randn(1, 1, 3, 32, 32)
    torch.testing.assert_close(model.eval()(x), reference(x), rtol=0, atol=0)


def test_cls_of_a_tower_without_one_is_an_error():
    with pytest.raises(
        ValueError, match=r"SiglipVisionModel has no CLS token.*frame_token='pooled'"
    ):
        SemanticTower(TOWERS["siglip"], "cls")


def test_pooled_output_of_a_tower_without_a_head_is_an_error():
    config = SiglipVisionConfig(**WIDTHS, **MLP, vision_use_head=False)
    with pytest.raises(ValueError, match="SiglipVisionModel has no pooled output"):
        SemanticTower(config, "pooled")


def test_unknown_token_is_an_error():
    with pytest.raises(ValueError, match="unknown frame_token 'mean'; use cls or pooled"):
        SemanticTower(TOWERS["vit"], "mean")
