"""Statistics of videos by hand, and what must not change them."""

from __future__ import annotations

import pytest
import torch

from aigv_reward.integrations.finetune.video_statistics import diversity, video_statistics


def flat(*colours: tuple[float, float, float], size: int = 4) -> torch.Tensor:
    """One video of a frame in each colour."""
    frames = torch.tensor(colours)[None, :, :, None, None]
    return frames.expand(1, len(colours), 3, size, size)


def drawn(seed: int = 0, batch: int = 3) -> torch.Tensor:
    return torch.rand(batch, 5, 3, 9, 11, generator=torch.Generator().manual_seed(seed))


def test_flat_colours_by_hand() -> None:
    """Red then grey of 0.5: luma 0.2126 and 0.5, chroma 1 and 0, differences 0.5 each."""
    found = video_statistics(flat((1, 0, 0), (0.5, 0.5, 0.5)))
    assert found["brightness"].item() == pytest.approx((0.2126 + 0.5) / 2)
    assert found["saturation"].item() == pytest.approx(0.5)
    assert found["sharpness"].item() == pytest.approx(0, abs=1e-12)
    assert found["motion"].item() == pytest.approx(0.5)
    red, green = found["look"].reshape(3, 16)[:2]
    assert red.tolist() == pytest.approx([0.75] * 16)
    assert green.tolist() == pytest.approx([0.25] * 16)


def test_sharpness_by_hand() -> None:
    """One white pixel inside a black 4 x 4 frame: Laplacian 4 there, -1 beside it, of 4 inside."""
    frames = torch.zeros(1, 1, 3, 4, 4)
    frames[..., 1, 1] = 1
    found = video_statistics(frames)
    assert found["sharpness"].item() == pytest.approx((16 + 1 + 1 + 0) / 4)
    assert found["motion"].item() == 0


def test_look_by_hand() -> None:
    frames = torch.zeros(1, 1, 3, 8, 8)
    frames[0, 0, 2, :2, :2] = 1  # blue, the first cell
    look = video_statistics(frames)["look"].reshape(3, 4, 4)
    assert look[2, 0, 0] == 1 and look.sum() == 1


def test_each_video_alone() -> None:
    whole = video_statistics(drawn())
    for index in range(3):
        alone = video_statistics(drawn()[index : index + 1])
        assert all(torch.equal(alone[name][0], whole[name][index]) for name in whole)


def test_what_changes_each() -> None:
    frames = 0.25 + 0.5 * drawn()
    plain = video_statistics(frames)
    brighter = video_statistics(frames + 0.1)
    grey = video_statistics(frames.mean(dim=2, keepdim=True).expand_as(frames))
    blurred = video_statistics(
        torch.nn.functional.avg_pool3d(frames, (1, 3, 3), stride=1, padding=(0, 1, 1))
    )
    still = video_statistics(frames[:, :1].expand_as(frames))
    torch.testing.assert_close(brighter["brightness"], plain["brightness"] + 0.1)
    torch.testing.assert_close(brighter["sharpness"], plain["sharpness"])
    assert (grey["saturation"] == 0).all()
    assert (blurred["sharpness"] < 0.2 * plain["sharpness"]).all()
    assert (still["motion"] == 0).all() and (plain["motion"] > 0.1).all()


def test_reversed_time_and_no_graph() -> None:
    frames = drawn().requires_grad_()
    forth, back = video_statistics(frames), video_statistics(frames.flip(1))
    for name in forth:
        torch.testing.assert_close(forth[name], back[name])
        assert not forth[name].requires_grad


def test_diversity_by_hand() -> None:
    """Looks 0, 2 and 3 against 1 before: pairs 2, 3, 1 and 1, 1, 2; the mean is 10 / 6."""
    looks, earlier = torch.tensor([[0.0], [2.0], [3.0]]), torch.tensor([[1.0]])
    assert diversity(looks, earlier).item() == pytest.approx(10 / 6)
    two = torch.tensor([[0.0, 0.0], [1.0, 3.0]])
    assert diversity(two, two[:0]).item() == pytest.approx(2.0)  # mean over a look's numbers
    assert diversity(looks[:1], earlier).item() == 1.0
    assert diversity(looks[:1], earlier[:0]) is None


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (drawn()[0], r"frames have shape \(5, 3, 9, 11\); pass \(B, T, 3, H, W\) with H and W at"),
        (drawn()[..., :3], r"frames have shape \(3, 5, 3, 9, 3\)"),
        (drawn().mul(255).to(torch.uint8), r"frames are torch.uint8; pass floats in \[0, 1\]"),
        (drawn().log() * 0 / 0, "video 0 has pixels that are not finite"),
    ],
)
def test_errors(frames: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        video_statistics(frames)
