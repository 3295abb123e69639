"""Golden scores: fixed clips, compared score by score."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from aigv_reward import DIMENSIONS, VideoReward
from aigv_reward.reward.golden import check_golden, golden_clips, golden_scores, write_golden


def test_the_clips_are_the_same_everywhere() -> None:
    clips = golden_clips()
    assert {name: tuple(clip.shape) for name, clip in clips.items()} == {
        "waves": (40, 3, 120, 200),
        "grain": (40, 3, 120, 200),
        "still": (1, 3, 120, 200),
    }
    digest = hashlib.sha256(b"".join(clip.numpy().tobytes() for clip in clips.values()))
    assert digest.hexdigest()[:16] == "b4c18fe0a3fe621b"
    torch.testing.assert_close(clips["still"], clips["waves"][:1])


def test_what_was_written_is_confirmed(reward: VideoReward, tmp_path: Path) -> None:
    path = write_golden(reward, tmp_path)
    check_golden(reward, tmp_path)
    content = json.loads(path.read_text())
    assert set(content["scores"]["waves"]) == set(DIMENSIONS)
    assert content["scores"]["waves"] != content["scores"]["grain"]
    for name, row in golden_scores(reward).items():
        assert content["scores"][name] == pytest.approx(row, abs=1e-6)


def test_a_changed_score_is_named(reward: VideoReward, tmp_path: Path) -> None:
    path = write_golden(reward, tmp_path)
    content = json.loads(path.read_text())
    content["scores"]["grain"]["motion"] += 0.01
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"motion of clip 'grain' is .* raise score_version"):
        check_golden(reward, tmp_path)


def test_another_versions_scores_and_none_are_refused(reward: VideoReward, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is missing; write it with write_golden"):
        check_golden(reward, tmp_path)
    path = write_golden(reward, tmp_path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"score_version": "older"}))
    with pytest.raises(ValueError, match="holds the scores of version 'older'"):
        check_golden(reward, tmp_path)
