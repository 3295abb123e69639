"""Audits of rewards whose answers are known, and of the bundled default."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from aigv_reward import VideoReward, read_video
from aigv_reward.distortions import distort
from aigv_reward.evaluation.audit import AuditResult, AuditSettings, AuditThresholds, audit
from aigv_reward.evaluation.audit_clips import open_clips, scenes
from aigv_reward.evaluation.audit_draws import distorted
from aigv_reward.evaluation.audit_result import SCHEMA
from aigv_reward.evaluation.audit_reward import RewardError
from aigv_reward.evaluation.severity import severity_agreement
from aigv_reward.video import Video

EXAMPLES = Path(__file__).parents[2] / "examples" / "clips"
SETTINGS = AuditSettings(
    distortions=("noise", "blur", "flicker"), variants=1, num_frames=8, side=48, steps=4
)
Prompts = Sequence[str | None] | None


def brightness(frames: Tensor, prompts: Prompts, *, fps: Any = None) -> Tensor:
    return frames.mean(dim=(1, 2, 3, 4))


def cleanliness(frames: Tensor, prompts: Prompts, *, fps: Any = None) -> Tensor:
    """Minus a noise estimate: the size of the Laplacian."""
    kernel = torch.tensor([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]])
    grey = frames.mean(dim=2).flatten(0, 1)[:, None]
    edges = F.conv2d(grey, kernel[None, None]).abs().mean(dim=(1, 2, 3))
    return -edges.view(len(frames), -1).mean(dim=1)


def constant(frames: Tensor, prompts: Prompts, *, fps: Any = None) -> Tensor:
    return torch.full((len(frames),), 3.0)


def by_numpy(frames: Tensor, prompts: Prompts, *, fps: Any = None) -> Tensor:
    return torch.from_numpy(frames.numpy().mean(axis=(1, 2, 3, 4)))


@torch.no_grad()
def without_gradient(frames: Tensor, prompts: Prompts, *, fps: Any = None) -> Tensor:
    return frames.mean(dim=(1, 2, 3, 4))


def two_dimensions(frames: Tensor, prompts: Prompts, *, fps: Any = None) -> dict[str, Tensor]:
    """technical falls with noise, motion with differences in time, which noise has too."""
    flow = (frames[:, 1:] - frames[:, :-1]).mean(dim=(2, 3, 4)).abs().mean(dim=1)
    return {"technical": 10 * cleanliness(frames, prompts), "motion": -flow}


def run(reward: Callable[..., Any], **settings: Any) -> AuditResult:
    made = {**{n: getattr(SETTINGS, n) for n in SETTINGS.__dataclass_fields__}, **settings}
    return audit(reward, num_scenes=2, settings=AuditSettings(**made))


def verdict(result: AuditResult, check: str, subject: str, score: str = "reward") -> bool | None:
    (found,) = [
        v for v in result.verdicts if (v.check, v.subject, v.score) == (check, subject, score)
    ]
    return found.passed


def clean_frames() -> list[Tensor]:
    return [clip.frames.double() / 255 for clip in scenes(2, SETTINGS, captions=False)]


@pytest.fixture(scope="module")
def bright() -> AuditResult:
    return run(brightness)


def test_a_noise_meter_falls_with_noise_and_rises_with_blur() -> None:
    result = run(cleanliness, steps=0)
    noise, blur, _ = result.distortions
    assert noise.own_score == "reward" and noise.own_falls_most is None
    assert noise.falls["reward"].spearman_min == pytest.approx(1.0)
    assert noise.falls["reward"].drops[3] > noise.falls["reward"].drops[0] > 0
    assert noise.falls["reward"].pairs == 1.0
    assert blur.falls["reward"].spearman < -0.9
    assert verdict(result, "spearman", "noise") is True
    assert verdict(result, "spearman", "blur") is False
    assert result.climbs == ()


def test_ladders_are_scored_as_if_one_by_one(bright: AuditResult) -> None:
    """Every rung against `distort` with a seeded generator, and the summary against scipy's."""
    ladders = []
    for index, clip in enumerate(scenes(2, SETTINGS, captions=False)):
        for ladder in bright.clips[index].ladders:
            for severity, score in enumerate(ladder.scores["reward"]):
                frames = distorted(clip, index, ladder.distortion, 0, severity, SETTINGS)
                assert score == pytest.approx(float(frames.double().mean()) / 255, abs=1e-5)
            ladders.append((ladder.distortion, range(5), {"overall": ladder.scores["reward"]}))
    agreed = severity_agreement(ladders)  # type: ignore[arg-type]
    for found in bright.distortions:
        expected = agreed[found.name]["overall"]
        assert found.falls["reward"].spearman == pytest.approx(expected.spearman)
        assert found.falls["reward"].drops[3] == pytest.approx(expected.drop)


def test_a_variant_is_the_same_at_every_severity_and_another_for_another_clip() -> None:
    (clip, *_) = scenes(1, SETTINGS, captions=False)
    noise = [
        distorted(clip, index, "noise", variant, severity, SETTINGS).float() - clip.frames.float()
        for index, variant, severity in ((0, 0, 1), (0, 0, 2), (1, 0, 1), (0, 1, 1))
    ]
    first, stronger, other_clip, other_variant = (field.flatten() for field in noise)

    def alike(field: Tensor) -> float:
        return float(torch.corrcoef(torch.stack((first, field)))[0, 1])

    assert alike(stronger) > 0.4
    assert max(alike(other_clip), alike(other_variant)) < 0.3
    assert torch.equal(distorted(clip, 0, "noise", 0, 0, SETTINGS), clip.frames)
    assert distort(clip.frames, "noise", 0, generator=torch.Generator()) is clip.frames


def test_over_exposure_inflates_brightness_by_what_it_must(bright: AuditResult) -> None:
    by_strength = {r.strength: r for r in bright.hacks if r.name == "over_exposure"}
    for strength, result in by_strength.items():
        assert strength is not None
        rises = [float((x * strength).clamp(max=1).mean() - x.mean()) for x in clean_frames()]
        assert result.moves["reward"].mean == pytest.approx(sum(rises) / 2, abs=1e-3)
        assert result.moves["reward"].max == pytest.approx(max(rises), abs=1e-3)
    assert verdict(bright, "hack", "over_exposure") is not True
    static = [r for r in bright.hacks if r.name == "static"]
    assert all(abs(r.moves["reward"].mean) < 0.05 for r in static)


def test_harmless_changes_of_brightness(bright: AuditResult) -> None:
    moves = {edit.name: edit.moves["reward"] for edit in bright.harmless}
    assert moves["again"].max < 1e-6
    assert moves["flip"].max < 1e-6
    expected = sum(0.02 * float(x.mean()) for x in clean_frames()) / 2
    assert moves["darker"].mean == pytest.approx(expected, abs=1e-3)


def test_ascent_of_brightness_gains_the_budget_where_there_is_room(bright: AuditResult) -> None:
    clean = next(c for c in bright.climbs if c.start == "clean")
    epsilon = SETTINGS.epsilon
    gains = [float((x + epsilon).clamp(max=1).mean() - x.mean()) for x in clean_frames()]
    assert clean.gradient == "present" and clean.gain is not None
    assert clean.gain.mean == pytest.approx(sum(gains) / 2, rel=1e-3)
    assert abs(clean.control.mean) < epsilon / 5


def test_degraded_starts_are_the_worst_distortion_of_each_clip(bright: AuditResult) -> None:
    for clip in bright.clips:
        drops = {ladder.distortion: ladder.drop("reward", 4) for ladder in clip.ladders}
        worst = max(drops, key=lambda name: drops[name])
        starts = {climb.start: climb for climb in clip.climbs}
        if drops[worst] <= 0:
            assert set(starts) == {"clean"}
            continue
        assert set(starts) == {"clean", worst}
        before = clip.clean["reward"] - drops[worst]
        assert starts[worst].before == pytest.approx(before, abs=1e-6)
        assert starts[worst].lost == pytest.approx(drops[worst])


def test_a_constant_agrees_with_nothing() -> None:
    result = run(constant)
    for found in result.distortions:
        assert found.falls["reward"].spearman == 0.0
        assert found.falls["reward"].pairs == 0.5
        assert verdict(result, "spearman", found.name) is False
    assert result.stds == {"reward": 0.0}
    assert verdict(result, "harmless", "flip") is None
    assert [climb.gradient for climb in result.climbs] == ["none"]


@pytest.mark.parametrize("reward", [by_numpy, without_gradient])
def test_a_reward_without_gradient_is_told_so(reward: Callable[..., Any]) -> None:
    result = run(reward)
    assert [(c.start, c.gradient, c.gain) for c in result.climbs] == [("clean", "none", None)]
    assert verdict(result, "ascent", "clean") is None
    expected = float(clean_frames()[0].mean())
    assert result.clips[0].clean["reward"] == pytest.approx(expected, abs=1e-5)


def test_own_dimensions() -> None:
    result = run(two_dimensions, steps=0)
    assert result.scores == ("technical", "motion")
    noise, blur, flicker = result.distortions
    assert (noise.own_score, flicker.own_score) == ("technical", "motion")
    assert noise.own_falls_most == 1.0 and flicker.own_falls_most == 1.0
    assert blur.own_falls_most == 0.0
    assert verdict(result, "own", "flicker", "motion") is True
    subjects = {(v.subject, v.score) for v in result.verdicts if v.check == "spearman"}
    assert subjects == {("noise", "technical"), ("blur", "technical"), ("flicker", "motion")}


def test_the_same_seed_gives_the_same_result_and_another_does_not(bright: AuditResult) -> None:
    assert run(brightness).to_dict() == bright.to_dict()
    assert run(brightness, seed=1).clips[0].ladders != bright.clips[0].ladders


def test_a_reward_that_draws_repeats_and_is_found_out() -> None:
    def restless(frames: Tensor, prompts: Prompts, *, fps: Any = None) -> Tensor:
        return frames.mean(dim=(1, 2, 3, 4)) + torch.rand(len(frames))

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = run(restless, steps=0), run(restless, steps=0)
    assert torch.equal(torch.rand(3), expected)  # the caller's draws go on as if nothing was
    assert first.to_dict() == second.to_dict()
    assert next(e for e in first.harmless if e.name == "again").moves["reward"].max > 0.1


def test_batches_are_small_and_do_not_matter(bright: AuditResult) -> None:
    sizes = []

    def watched(frames: Tensor, prompts: Prompts, *, fps: Any = None) -> Tensor:
        sizes.append(len(frames))
        assert prompts is not None and len(prompts) == len(frames) and all(prompts)
        return brightness(frames, prompts)

    result = run(watched, batch_size=2, steps=0)
    assert max(sizes) == 2
    for ours, theirs in zip(result.clips, bright.clips, strict=True):
        for a, b in zip(ours.ladders, theirs.ladders, strict=True):
            assert a.scores["reward"] == pytest.approx(b.scores["reward"], abs=1e-6)


def test_progress_counts_every_stage() -> None:
    count = 0

    def advance() -> None:
        nonlocal count
        count += 1

    audit(brightness, num_scenes=2, settings=SETTINGS, advance=advance)
    assert count == 2 * SETTINGS.stages


def test_what_a_still_clip_does_not_show_is_left_out() -> None:
    frames = next(scenes(1, SETTINGS, captions=False)).frames[:1].repeat(8, 1, 1, 1)
    settings = AuditSettings(distortions=("freeze", "noise"), num_frames=8, side=48, steps=0)
    result = audit(brightness, [Video(frames, 8.0)], settings=settings)
    freeze, noise = result.distortions
    assert (freeze.ladders, freeze.unseen, freeze.falls) == (0, 2, {})
    assert (noise.ladders, noise.unseen) == (2, 0)
    assert result.clips[0].unseen == (("freeze", 0), ("freeze", 1))
    assert verdict(result, "spearman", "freeze") is None


def test_the_dictionary_is_plain_json(bright: AuditResult) -> None:
    text = json.dumps(bright.to_dict(), allow_nan=False)
    read = json.loads(text)
    assert read["schema"] == SCHEMA == 1
    assert read["reward"] == "brightness" and read["headline"] == "reward"
    assert read["settings"]["distortions"] == ["noise", "blur", "flicker"]
    assert len(read["clips"]) == 2 and len(read["clips"][0]["ladders"]) == 3
    assert len(read["verdicts"]) == len(bright.verdicts)
    assert {v.passed for v in bright.failed} == {False}


def test_a_score_that_is_not_finite_stops_the_audit() -> None:
    calls = 0

    def fragile(frames: Tensor, prompts: Prompts, *, fps: Any = None) -> Tensor:
        nonlocal calls
        calls += 1
        return brightness(frames, prompts) * (math.nan if calls == 3 else 1.0)

    with pytest.raises(RewardError, match=r"on clip 'scene 9000000' \(blur, severities 0..4\)"):
        run(fragile)


def test_a_reward_that_only_its_ascent_breaks() -> None:
    def breaks(frames: Tensor, prompts: Prompts, *, fps: Any = None) -> Tensor:
        if frames.requires_grad:
            raise OverflowError("too large")
        return brightness(frames, prompts)

    with pytest.raises(RewardError, match=r"\(pixel ascent of reward from clean\): OverflowError"):
        run(breaks)


def test_a_gradient_that_is_not_finite_stops_the_audit() -> None:
    def steep(frames: Tensor, prompts: Prompts, *, fps: Any = None) -> Tensor:
        return brightness(frames, prompts) + (frames - frames.detach()).sqrt().sum()

    message = r"no usable gradient on clip 'scene 9000000' \(pixel ascent of reward from clean\)"
    with pytest.raises(RewardError, match=message):
        run(steep)


def test_prompts_need_clips() -> None:
    with pytest.raises(ValueError, match="prompts were given without clips"):
        audit(brightness, prompts=["a cat"])


def test_the_bundled_default_on_one_clip(light_checkpoint: Path) -> None:
    """Noise lowers technical most, a shaken camera motion; both lower overall; it has gradients."""
    lite = VideoReward.from_pretrained(light_checkpoint)
    clean = read_video(EXAMPLES / "library_clean.mp4")
    settings = AuditSettings(
        distortions=("noise", "jitter"), variants=1, num_frames=16, side=256, steps=1
    )
    result = audit(lite, [clean], settings=settings, thresholds=AuditThresholds(spearman=0.7))
    assert result.reward.startswith("lite-")
    assert result.scores == lite.dimensions and result.headline == "overall"
    assert result.untrained == ()
    noise, jitter = result.distortions
    assert noise.own_falls_most == jitter.own_falls_most == 1.0
    assert noise.falls["technical"].drops[3] > 1 and jitter.falls["motion"].drops[3] > 1
    for found in (noise, jitter):
        assert verdict(result, "spearman", found.name, "overall") is True
    gains = {c.score: c.gain for c in result.climbs if c.start == "degraded"}
    assert gains["technical"] is not None and gains["technical"].mean > 0
    (clip,) = open_clips([clean], None, settings)
    with torch.no_grad():
        direct = lite.score(clip.frames[None].float() / 255, fps=clip.fps)
    for name, value in result.clips[0].clean.items():
        assert value == pytest.approx(float(direct.values[name][0]), abs=1e-5)  # type: ignore[index]
