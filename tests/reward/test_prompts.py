"""The generator's text prompt: read by the semantic question and by nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from aigv_reward import AIGVRewardModel, VideoReward
from aigv_reward.reward.windows import Draws
from aigv_reward.views import Views

PROMPTS = ["a video", "the motion", None]
OTHERS = ("technical", "motion", "overall")


@pytest.fixture(scope="module")
def batch(clip: Callable[..., Tensor]) -> Tensor:
    return torch.stack([clip(seed=seed) for seed in range(3)])


def test_a_prompt_changes_the_semantic_score_only(reward: VideoReward, batch: Tensor) -> None:
    without = reward.score(batch)
    with_text = reward.score(batch, PROMPTS)
    other_text = reward.score(batch, ["the key frames", "the motion", ""])
    for name in OTHERS:
        torch.testing.assert_close(with_text[name], without[name], rtol=0, atol=1e-5)  # type: ignore[index]
    change = (with_text.semantic - without.semantic).abs()
    assert change[:2].min() > 1e-3 and change[2] < 1e-5
    assert (other_text.semantic - with_text.semantic).abs()[0] > 1e-3
    torch.testing.assert_close(other_text.semantic[1:], with_text.semantic[1:], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "prompts", [None, [None] * 3, ["", None, ""], ("", "", ""), [" ", "\n\t", "\u3000"]]
)
def test_no_prompt_is_asked_without_one(
    reward: VideoReward, batch: Tensor, prompts: list[str | None] | None
) -> None:
    expected = reward.score(batch).semantic
    torch.testing.assert_close(reward.score(batch, prompts).semantic, expected, rtol=0, atol=0)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_a_prompt_scores_the_same_beside_any_other(
    reward: VideoReward, batch: Tensor, batch_size: int
) -> None:
    prompts = ["a video of the motion of the key frames", "the", None]
    together = reward.score(batch, prompts, batch_size=batch_size, clips=2)
    for index in range(3):
        alone = reward.score(batch[index : index + 1], [prompts[index]], clips=2)
        for name, value in alone.values.items():
            torch.testing.assert_close(together[name][index], value[0], rtol=0, atol=1e-5)


def test_the_reward_and_the_scores_agree_on_prompts(
    model: AIGVRewardModel, reward: VideoReward, batch: Tensor
) -> None:
    semantic = VideoReward(model, tokenizer=reward.tokenizer, weights={"semantic": 1.0})
    expected = reward.score(batch, PROMPTS).semantic
    torch.testing.assert_close(semantic(batch, PROMPTS), expected, rtol=0, atol=1e-5)


def test_the_gradient_passes_a_prompted_question(
    model: AIGVRewardModel, reward: VideoReward, batch: Tensor
) -> None:
    semantic = VideoReward(model, tokenizer=reward.tokenizer, weights={"semantic": 1.0})
    frames = (batch.float() / 255).requires_grad_()
    (prompted,) = torch.autograd.grad(semantic(frames, PROMPTS).sum(), frames)
    (plain,) = torch.autograd.grad(semantic(frames).sum(), frames)
    assert not torch.allclose(prompted[0], plain[0])
    torch.testing.assert_close(prompted[2], plain[2], rtol=1e-3, atol=1e-6)


def test_prompts_that_do_not_fit_are_refused(
    model: AIGVRewardModel, reward: VideoReward, batch: Tensor
) -> None:
    with pytest.raises(ValueError, match="prompts has 2 entries for 3 videos; pass a list with"):
        reward.score(batch, ["a", "b"])
    with pytest.raises(ValueError, match="prompts has 1 entries for 3 videos"):
        reward(batch, ["a"])
    with pytest.raises(ValueError, match="prompts has one string for 3 videos"):
        reward.score(batch, "a video")
    with pytest.raises(ValueError, match="prompts has one string for 1 videos"):
        reward(batch[:1], "a")
    with pytest.raises(ValueError, match=r"prompts has an entry 7; give a string or None"):
        reward(batch, ["a", 7, None])  # type: ignore[list-item]
    for entry in (0, [], float("nan")):
        with pytest.raises(ValueError, match=r"prompts has an entry .*; give a string or None"):
            reward(batch, ["a", entry, None])  # type: ignore[list-item]
    for count, wrong in (("dict", {0: "a"}), ("generator", (text for text in "abc"))):
        with pytest.raises(ValueError, match=f"prompts has one {count} for 3 videos"):
            reward.score(batch, wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("much too long " * 20, r"prompts\[2\] has \d+ tokens, the limit is max_prompt_tokens=24;"),
        (
            "caf\udce9",
            r"prompts\[2\] is no text: '\\udce9' at character 3 is half of a character, left by "
            "bytes that are not UTF-8 or by a cut JSON escape; read the text in its own",
        ),
        ("a cat \ud83d", r"prompts\[2\] is no text: '\\ud83d' at character 6 is half of a"),
    ],
)
def test_a_prompt_that_cannot_be_asked_is_told_before_anything_is_decoded(
    model: AIGVRewardModel, reward: VideoReward, batch: Tensor, prompt: str, message: str
) -> None:
    prompts = ["a", None, prompt]
    with pytest.raises(ValueError, match=message):
        reward.score(["absent.mp4"] * 3, prompts)
    semantic = VideoReward(model, tokenizer=reward.tokenizer, weights={"semantic": 1.0})
    calls = [
        lambda: semantic(batch, prompts),
        lambda: semantic.drawn(batch, prompts, draws=Draws(1)),
        lambda: semantic.by_dimension(batch, prompts),
        lambda: semantic.score_views(Views.cat([semantic.prepare(v) for v in batch]), prompts),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call()


def test_a_prompt_that_nothing_reads_is_no_error(reward: VideoReward, batch: Tensor) -> None:
    """Trainers hand every reward the prompts, whether its weights use them or not."""
    assert "semantic" not in reward.weights
    prompts = ["a " * 100_000, "caf\udce9", None]
    torch.testing.assert_close(reward(batch, prompts), reward(batch), rtol=0, atol=0)


def test_prompts_without_a_tokenizer_are_refused_where_they_would_be_read(
    model: AIGVRewardModel, batch: Tensor
) -> None:
    reward = VideoReward(model)
    with pytest.raises(ValueError, match=r"prompts were given, but .* no tokenizer\.json; add one"):
        reward.score(batch, PROMPTS)
    expected = reward.score(batch, dimensions=["motion"]).motion
    unread = reward.score(batch, PROMPTS, dimensions=["motion"]).motion
    torch.testing.assert_close(unread, expected, rtol=0, atol=0)
    torch.testing.assert_close(reward(batch, PROMPTS), reward(batch), rtol=0, atol=0)
    reward.score(batch, [None, "", None])
