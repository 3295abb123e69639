import pytest
import torch

from aigv_reward.encoders import FastConfig, FastPathway, init_encoder_weights

TINY = FastConfig(stem_width=4, inner_widths=(2, 4), depths=(1, 2), max_frames=16)


def tiny_pathway() -> FastPathway:
    """Eval mode, with running statistics that are neither 0 nor 1."""
    torch.manual_seed(0)
    model = FastPathway(TINY).apply(init_encoder_weights)
    model.train()
    with torch.no_grad():
        model(torch.randn(4, 6, 3, 32, 32))
    return model.eval()


def test_published_shapes():
    model = FastPathway(FastConfig())
    assert model.out_dim == 256
    assert len(model.checkpointed_layers()) == 16
    positions = model.position_embedding.weight.numel()
    assert positions == 2000 * 256
    parameters = sum(p.numel() for p in model.parameters()) - positions
    assert parameters == pytest.approx(0.51e6, rel=0.02)


@pytest.mark.parametrize(("frames", "side"), [(1, 8), (6, 33), (16, 32)])
def test_one_vector_per_frame(frames, side):
    model = tiny_pathway()
    assert model(torch.randn(2, frames, 3, side, side)).shape == (2, frames, model.out_dim)


def test_frame_positions_are_added_in_order():
    model = tiny_pathway()
    x = torch.randn(1, 6, 3, 32, 32)
    with torch.no_grad():
        expected = model(x) + torch.arange(6.0)[:, None]
        model.position_embedding.weight += torch.arange(16.0)[:, None]
        torch.testing.assert_close(model(x), expected)


def test_permuting_the_frames_changes_each_frames_vector():
    """Also without positions: each vector depends on the neighbours of its frame."""
    model = tiny_pathway()
    x = torch.randn(1, 6, 3, 32, 32)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    with torch.no_grad():
        model.position_embedding.weight.zero_()
        difference = (model(x[:, order]) - model(x)[:, order]).abs().amax(dim=(0, 2))
    assert (difference > 1e-3).all()


def test_a_video_scores_the_same_alone_and_in_a_batch():
    model = tiny_pathway()
    x = torch.randn(3, 6, 3, 32, 32)
    with torch.no_grad():
        together = model(x)
        alone = torch.cat([model(video[None]) for video in x])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)


def test_gradients_match_finite_differences():
    model = tiny_pathway().double()
    x = torch.randn(1, 3, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(model, x, fast_mode=True)


def test_identity_shortcut_only_where_shapes_allow():
    model = FastPathway(TINY)
    assert [block.branch1_conv is None for block in model.checkpointed_layers()] == [
        *(False, False, True)
    ]


def test_lists_of_different_length_are_an_error():
    with pytest.raises(ValueError, match=r"inner_widths \(8,\) and depths \(1, 1\) differ"):
        FastConfig(inner_widths=(8,), depths=(1, 1))


def test_too_many_frames_are_an_error():
    with pytest.raises(ValueError, match="17 frames, this model knows positions of at most 16"):
        FastPathway(TINY)(torch.randn(1, 17, 3, 8, 8))
