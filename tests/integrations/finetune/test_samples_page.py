"""The page of samples: playable videos, escaped text, whole files, no duplicates on resume."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import av
import pytest
import torch

from aigv_reward import read_video
from aigv_reward.integrations.finetune import sample_video
from aigv_reward.integrations.finetune.sample_video import write_sample_video
from aigv_reward.integrations.finetune.samples_page import Sample, SamplesPage


def clip(seed: int = 0, height: int = 16, width: int = 16) -> torch.Tensor:
    """Three frames of one colour each."""
    colours = torch.rand(3, 3, generator=torch.Generator().manual_seed(seed))
    return colours[:, :, None, None].expand(3, 3, height, width)


def sample(prompt: str = "a cat", seed: int = 0, **scores: float) -> Sample:
    return Sample(clip(seed), prompt, scores)


class Reader(HTMLParser):
    """Tags, videos and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.videos: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "video":
            self.videos.append(str(dict(attrs)["src"]))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def shown(page: SamplesPage) -> Reader:
    return Reader(page.path.read_text(encoding="utf-8"))


def files(page: SamplesPage) -> list[str]:
    return sorted(path.name for path in page.folder.rglob("*") if path.is_file())


def test_a_video_survives_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    frames = clip()
    write_sample_video(path, frames, fps=12.5)
    video = read_video(path)
    assert video.fps == pytest.approx(12.5) and len(video.frames) == 3
    decoded = torch.as_tensor(video.frames).float() / 255
    torch.testing.assert_close(decoded, frames, rtol=0, atol=0.06)
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")


def test_odd_sides_grow_by_a_pixel_and_values_are_clamped(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_sample_video(path, clip(height=15, width=17) * 40 - 20, fps=8)
    decoded = torch.as_tensor(read_video(path).frames)
    assert decoded.shape == (3, 3, 16, 18)
    rows = decoded.float()
    torch.testing.assert_close(rows[..., -1, :], rows[..., -2, :], atol=8, rtol=0)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_another_encoder_where_x264_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(av, "codecs_available", {"libvpx-vp9"})
    write_sample_video(tmp_path / "a.mp4", clip(), fps=8)
    assert len(read_video(tmp_path / "a.mp4").frames) == 3
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    with pytest.raises(RuntimeError, match="PyAV has none of the encoders libx264, libopenh264"):
        write_sample_video(tmp_path / "b.mp4", clip(), fps=8)


def test_a_failed_encoding_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mp4"
    write_sample_video(path, clip(), fps=8)
    before = path.read_bytes()
    monkeypatch.setattr(sample_video, "ENCODERS", {"libx264": {"preset": "none such"}})
    with pytest.raises(av.FFmpegError):
        write_sample_video(path, clip(1), fps=8)
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_nothing_unfinished_is_left(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").mkdir()  # which no file replaces
    with pytest.raises(OSError):
        write_sample_video(tmp_path / "a.mp4", clip(), fps=8)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_the_page(tmp_path: Path) -> None:
    page = SamplesPage(tmp_path / "samples", title="a run")
    page.append(0, [sample(motion=1.0, overall=2.0), sample("a dog", 1, motion=3.0)], fps=8)
    page.append(50, [sample(motion=1.25, overall=1.5), sample("a dog", 1, motion=3.0)], fps=8)
    found = shown(page)
    names = [f"step_{step:07d}_{i:03d}.mp4" for step in (50, 0) for i in (0, 1)]
    assert found.videos == [f"videos/{name}" for name in names]  # the latest first
    assert files(page) == sorted([*names, "index.html", "samples.json"])
    for text in ("Step 50", "1.250", "+0.250", "-0.500", "+0.000", "2.000", "2.125"):
        assert text in found.texts
    assert page.steps == [0, 50]


def test_the_page_reaches_nothing_and_knows_light_and_dark(tmp_path: Path) -> None:
    page = SamplesPage(tmp_path, title="a run")
    page.append(0, [sample()], fps=8)
    text = page.path.read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text and "color-scheme: light dark" in text


def test_everything_is_escaped(tmp_path: Path) -> None:
    evil = "</style><script>alert(1)</script><img src=x onerror='a'>\" & \u2028"
    page = SamplesPage(tmp_path, title=evil)
    one = Sample(clip(), evil, {evil: 1.0}, error=evil)
    page.append(0, [one], fps=8)
    page.append(1, [one], fps=8)
    found = shown(page)
    assert found.tags.count("script") == 1 and "img" not in found.tags
    assert found.texts.count(evil) == 1 + 1 + 1 + 2 * 3  # title, h1, column; prompt, name, error
    again = SamplesPage(tmp_path, title=evil)
    again.append(2, [one], fps=8)
    assert shown(again).texts.count(evil) == 1 + 1 + 1 + 3 * 3


def test_a_failed_score_is_told_and_counted(tmp_path: Path) -> None:
    page = SamplesPage(tmp_path, title="a run")
    page.append(0, [sample(motion=1.0), Sample(clip(), "a dog", error="no frames")], fps=8)
    page.append(1, [Sample(clip(), "a cat", error="no"), sample("a dog", motion=2.5)], fps=8)
    texts = shown(page).texts
    assert "no frames" in texts and "no score" in texts
    assert "2.500" in texts and not any(text.startswith("+") for text in texts)


def test_one_prompt_twice_is_compared_with_its_own_place(tmp_path: Path) -> None:
    page = SamplesPage(tmp_path, title="a run")
    page.append(0, [sample(motion=1.0), sample(motion=5.0)], fps=8)
    assert not any(text.startswith(("+", "-")) for text in shown(page).texts)
    page.append(1, [sample(motion=1.5), sample(motion=4.0)], fps=8)
    assert {"+0.500", "-1.000"} <= set(shown(page).texts)


def test_resuming_keeps_what_was_and_repeats_nothing(tmp_path: Path) -> None:
    """A run is cut off after step 150 and resumed from step 100."""
    first = SamplesPage(tmp_path, title="a run")
    for step in (0, 50, 100, 150):
        first.append(step, [sample(motion=step), sample("a dog", motion=step)], fps=8)
    second = SamplesPage(tmp_path, title="a run")
    assert second.steps == [0, 50, 100, 150]
    second.append(100, [sample(motion=7.0)], fps=8)
    assert second.steps == [0, 50, 100]
    names = ["step_0000000_000", "step_0000000_001", "step_0000050_000", "step_0000050_001"]
    videos = [f"{name}.mp4" for name in (*names, "step_0000100_000")]
    assert files(second) == sorted([*videos, "index.html", "samples.json"])
    assert "7.000" in shown(second).texts


def test_a_resumed_page_is_the_page_of_a_run_without_a_break(tmp_path: Path) -> None:
    one = SamplesPage(tmp_path / "one", title="a run")
    for step in (0, 1):
        one.append(step, [sample(motion=step / 3)], fps=8)
        other = SamplesPage(tmp_path / "other", title="a run")
        other.append(step, [sample(motion=step / 3)], fps=8)
    for name in ("index.html", "samples.json"):
        assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes()


@pytest.mark.parametrize("text", ["{", "[]", '{"steps": {"0": [{"video": "a"}]}}', '{"steps": 1}'])
def test_a_list_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "samples.json").write_text(text)
    with pytest.raises(ValueError, match=r"samples.json' is no list of samples \(.*move the fold"):
        SamplesPage(tmp_path, title="a run")


def test_errors(tmp_path: Path) -> None:
    page = SamplesPage(tmp_path, title="a run")
    with pytest.raises(ValueError, match="step is 1 with 0 samples; give a step of at least 0 and"):
        page.append(1, [], fps=8)
    with pytest.raises(ValueError, match="step is -1 with 1 samples; give a step of at least 0"):
        page.append(-1, [sample()], fps=8)
    with pytest.raises(ValueError, match="motion of 'a cat' is nan; leave out a score that failed"):
        page.append(0, [sample(motion=float("nan"))], fps=8)
    assert files(page) == []
    with pytest.raises(ValueError, match=r"frames have shape \(3, 16, 16\); pass \(T, 3, H, W\)"):
        write_sample_video(tmp_path / "a.mp4", clip()[0], fps=8)
    with pytest.raises(ValueError, match=r"fps is 0; it must be above 0"):
        write_sample_video(tmp_path / "a.mp4", clip(), fps=0)
