"""Views, prompts and batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aigv_reward import VideoReward
from aigv_reward.reward.windows import read_views
from aigv_reward.training.arguments import TOWERS, ModelArguments
from aigv_reward.training.feature_cache import FeatureCache, fill_cache
from aigv_reward.training.opinions import Opinion, Preference
from aigv_reward.training.samples import MixedSampler, RatedVideos, collate, encode_prompts
from aigv_reward.training.trainable_model import load_trainable
from aigv_reward.training.video_files import inspect_videos

DIMENSIONS = ("technical", "overall")
VIEWS = ("key_frames", "fragments", "fast")


@pytest.fixture(scope="module")
def model(checkpoint: Path):
    return load_trainable(ModelArguments(checkpoint=str(checkpoint)))[0]


@pytest.fixture(scope="module")
def items(clips: list[Path]) -> list:
    return [
        Opinion(clips[3], "a cat", {"overall": 2.5}),
        Preference(clips[4], clips[5], "a dog", {"technical": "B", "overall": "same"}),
        Opinion(clips[5], None, {"technical": 1.0, "overall": 5.0}),
    ]


@pytest.fixture(scope="module")
def dataset(items: list, clips: list[Path], model, features: Path, checkpoint: Path):
    digests, _ = inspect_videos(clips[:6])
    videos = {digest: path for path, digest in digests.items()}
    every = FeatureCache(features, model, TOWERS)
    fill_cache(every, model, videos, device=torch.device("cpu"))
    tokenizer = VideoReward.from_pretrained(checkpoint).tokenizer

    def make(learning: bool = True, **values) -> RatedVideos:
        cache = FeatureCache(features, model, ["semantic"]) if learning else every
        texts = encode_prompts(items, tokenizer, max_tokens=32)
        given = {
            "digests": digests,
            "sampling": model.config.view_sampling,
            "cache": cache,
            "text_ids": texts,
            "prompt_rate": 0.5,
            "seed": 7,
        }
        return RatedVideos(items, DIMENSIONS, **given | values)

    return make


def test_an_index_gives_what_scoring_sees(dataset, items: list, model) -> None:
    sample = dataset()[0]
    (video,) = sample["videos"]
    views = read_views(items[0].path, model.config.view_sampling)
    torch.testing.assert_close(video["fast"], views.fast[0], rtol=0, atol=0)
    torch.testing.assert_close(video["fragments"], views.fragments[0], rtol=0, atol=0)
    with torch.no_grad():
        token = model.semantic(views.key_frames)[0]
    torch.testing.assert_close(video["key_frames"], token, rtol=0, atol=0)
    assert sample["targets"].isnan().tolist() == [True, False] and sample["targets"][1] == 2.5
    assert sample["choices"].isnan().all()
    assert sample["text_ids"] is not None


def test_an_epoch_and_an_index_decide_the_random_views(dataset) -> None:
    def fragments(key, **values):
        return dataset(**values)[key]["videos"][0]["fragments"]

    first = fragments((0, 2))
    assert torch.equal(first, fragments((0, 2)))
    drawn = [fragments((epoch, 2)) for epoch in range(6)]
    assert sum(not torch.equal(first, other) for other in drawn) >= 4
    assert any(not torch.equal(fragments((e, 2), seed=8), drawn[e]) for e in range(6))
    assert torch.equal(  # cached features are those of the centre views
        dataset()[(0, 2)]["videos"][0]["key_frames"], dataset()[2]["videos"][0]["key_frames"]
    )


def test_prompts_are_read_at_their_rate(dataset) -> None:
    def read(rate: float) -> int:
        made = dataset(learning=False, prompt_rate=rate)
        return sum(made[(epoch, 0)]["text_ids"] is not None for epoch in range(40))

    assert (read(0.0), read(1.0)) == (0, 40)
    assert 10 < read(0.5) < 30
    made = dataset(learning=False)
    assert made[(0, 2)]["text_ids"] is None and made[0]["text_ids"] is not None
    assert dataset(learning=False, text_ids=None)[0]["text_ids"] is None


def test_a_batch_puts_the_second_videos_last(dataset) -> None:
    made = dataset()
    samples = [made[0], made[1], made[2]]
    batch = collate(samples)
    assert batch["second"].tolist() == [-1, 3, -1]
    for view in VIEWS:
        videos = [samples[0], samples[1], samples[2]]
        expected = [sample["videos"][0][view] for sample in videos] + [
            samples[1]["videos"][1][view]
        ]
        assert torch.equal(batch[view], torch.stack(expected))
    ids = [sample["text_ids"] for sample in samples]
    assert batch["text_ids"] == [*ids, ids[1]] and ids[2] is None
    torch.testing.assert_close(batch["choices"][1], torch.tensor([-1.0, 0.0]))
    assert batch["targets"][1].isnan().all()
    assert collate([made[2]])["text_ids"] is None


def test_a_prompt_that_is_too_long_is_named(items: list, checkpoint: Path) -> None:
    tokenizer = VideoReward.from_pretrained(checkpoint).tokenizer
    message = r"the text prompt of '.*03.mp4' is 6 tokens, this checkpoint reads 5; shorten it"
    with pytest.raises(ValueError, match=message):
        encode_prompts(items, tokenizer, max_tokens=5)


def test_a_prompt_of_whitespace_is_none(items: list, checkpoint: Path) -> None:
    """As a reward reads it."""
    tokenizer = VideoReward.from_pretrained(checkpoint).tokenizer
    blank = [Opinion(Path("a.mp4"), prompt, {"overall": 1.0}) for prompt in (" \n", "", "a")]
    first, second, third = encode_prompts(blank, tokenizer, max_tokens=5)
    assert first is None and second is None and third is not None


def test_every_item_comes_once_in_an_order_of_its_epoch() -> None:
    sampler = MixedSampler(["row"] * 10 + ["pair"] * 5, seed=3)
    orders = []
    for epoch in (0, 1, 0):
        sampler.epoch = epoch
        keys = list(sampler)
        assert {e for e, _ in keys} == {epoch}
        assert sorted(index for _, index in keys) == list(range(15)) and len(sampler) == 15
        orders.append([index for _, index in keys])
    assert orders[0] == orders[2] != orders[1]
    other = MixedSampler(["row"] * 15, seed=4)
    assert [index for _, index in other] != orders[0]


def test_every_batch_has_its_share_of_rows() -> None:
    kinds = ["row"] * 20 + ["pair"] * 60
    sampler = MixedSampler(kinds, seed=0)
    for epoch in range(3):
        sampler.epoch = epoch
        order = [kinds[index] for _, index in sampler]
        shares = [order[start : start + 8].count("row") for start in range(0, 80, 8)]
        assert set(shares) <= {1, 2, 3} and sum(shares) == 20
