"""Scores as columns in people's own Ray pipelines."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pytest

from aigv_reward import VideoReward
from aigv_reward.distortions import encode_mp4, render_scene
from aigv_reward.integrations.ray import RewardActor


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("clips")
    paths = []
    for seed in range(2):
        buffer = io.BytesIO()
        frames = render_scene(seed, num_frames=6, height=48, width=64).frames
        encode_mp4(buffer, frames, 8.0)
        paths.append(str(folder / f"{seed}.mp4"))
        Path(paths[-1]).write_bytes(buffer.getvalue())
    broken = folder / "broken.mp4"
    broken.write_text("no video")
    return [*paths, str(broken)]


@pytest.mark.usefixtures("cluster_address")
def test_map_batches_adds_scores_and_keeps_failures(clips: list[str]) -> None:
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    rows = [{"path": path, "id": number} for number, path in enumerate(clips)]
    scored = ray.data.from_items(rows, override_num_blocks=1).map_batches(
        RewardActor,
        batch_format="pyarrow",
        concurrency=1,
        batch_size=8,
        fn_constructor_kwargs={"dimensions": ["technical", "overall"], "device": "cpu"},
    )
    one, two, bad = sorted(scored.take_all(), key=lambda row: row["id"])
    expected = VideoReward.from_pretrained().score(clips[:2]).values
    for number, row in enumerate((one, two)):
        for name in ("technical", "overall"):
            assert row[name] == pytest.approx(float(expected[name][number]), rel=0, abs=1e-5)
        assert row["error"] is None
    assert set(one) == {"path", "id", "technical", "overall", "error"}
    assert (bad["technical"], bad["overall"]) == (None, None)
    assert bad["error"].startswith("VideoDecodeError: ")


def test_a_batch_that_fails_is_scored_one_by_one(
    clips: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = RewardActor(device="cpu", dimensions=["overall"], prompt_column="text")
    whole = actor.reward.score_views

    def score_views(views, prompts, **kwargs):
        if "bad" in prompts:
            raise ValueError("its prompt is bad")
        return whole(views, prompts, **kwargs)

    monkeypatch.setattr(actor.reward, "score_views", score_views)
    paths = [clips[0], clips[1], None]
    table = actor(pa.table({"path": paths, "text": ["good", "bad", "good"]}))
    first, second, third = table.to_pylist()
    assert isinstance(first["overall"], float) and first["error"] is None
    assert (second["overall"], second["error"]) == (None, "ValueError: its prompt is bad")
    assert (third["overall"], third["error"]) == (None, "ValueError: the path is None; give text")

    for batch, said in [
        ({"path": clips}, r"is a dict, .* give map_batches batch_format=\"pyarrow\""),
        (pa.table({"file": clips}), "no column 'path'; it has file"),
        (pa.table({"path": clips}), "no column 'text'; it has path"),
        (pa.table({"path": paths, "text": paths, "error": paths}), "'error' already; rename or"),
    ]:
        with pytest.raises(ValueError, match=said):
            actor(batch)  # type: ignore[arg-type]


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="clips is 0; it must be at least 1"):
        RewardActor(clips=0)
    with pytest.raises(ValueError, match="unknown dimension 'beauty'; this reward scores"):
        RewardActor(device="cpu", dimensions=["beauty"])
