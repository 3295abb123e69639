"""The picture of ranked candidates, and what prints of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from aigv_reward import VideoReward
from aigv_reward.integrations.diffusers import Ranked, best_of_n
from aigv_reward.integrations.diffusers.contact_sheet import Thumbnails, contact_sheet_of


def ranked_of(totals: list[float], *, interrupted: Sequence[int] = (), **scores: Any) -> Ranked:
    total = torch.tensor(totals)
    return Ranked(
        frames=torch.zeros(1, 9, 3, 32, 48),
        scores={name: torch.tensor(column) for name, column in scores.items()} or {"reward": total},
        total=total,
        seeds=list(range(7, 7 + len(totals))),
        order=total.argsort(descending=True).tolist(),
        interrupted=list(interrupted),
    )


def plain(level: float, *, height: int = 32, width: int = 48, frames: int = 9) -> Tensor:
    return torch.full((frames, 3, height, width), level)


def test_five_frames_are_spread_over_the_video() -> None:
    """Of nine frames: 0, 2, 4, 6, 8."""
    frames = torch.linspace(0, 1, 9).view(9, 1, 1, 1).expand(9, 3, 32, 48)
    images = Thumbnails.of(frames).images
    levels = [int(np.asarray(image)[0, 0, 0]) for image in images]
    assert levels == [0, 64, 128, 191, 255]
    assert {image.size for image in images} == {(208, 139)}
    assert len(Thumbnails.of(frames[:3]).images) == 3
    assert Thumbnails.of(plain(0, height=90, width=60)).images[0].size == (157, 236)
    assert Thumbnails.of(plain(0, height=480, width=832)).images[0].size == (208, 120)
    assert np.asarray(Thumbnails.of(plain(0) - 0.1).images[0]).max() == 0  # clamped, not wrapped


def test_rows_stand_in_the_order_of_the_ranking() -> None:
    ranked = ranked_of([0.2, 0.9, 0.5])
    levels = [50 / 255, 100 / 255, 150 / 255]
    sheet = contact_sheet_of(ranked, [Thumbnails.of(plain(level)) for level in levels], "a cat")
    assert sheet.mode == "RGB"
    column = np.asarray(sheet)[:, sheet.width // 2 + 40, 0].tolist()
    rows = [level for level in column if level in (50, 100, 150)]
    assert list(dict.fromkeys(rows)) == [100, 150, 50]
    assert all(rows.count(level) == 139 for level in (50, 100, 150))


def test_the_bar_of_the_best_is_full_and_that_of_the_worst_is_not() -> None:
    ranked = ranked_of([1.0, 3.0, 2.0])
    sheet = contact_sheet_of(ranked, [Thumbnails.of(plain(0.5))] * 3, None)
    green = (np.asarray(sheet)[:, 40:260] == (0x17, 0x79, 0x5E)).all(axis=2).sum(axis=1)
    bars = [int(count) for count in green if count > 100]
    assert (max(bars), min(bars)) == (220, 111)  # of its width, and half of it


@pytest.mark.parametrize(
    "prompt",
    [
        None,
        "",
        "a cat",
        "many words " * 200,
        "x" * 900,
        "ünïcode — “quotes”",
        "一只猫在冲浪",
        "🐈 \n a cat",
    ],
)
@pytest.mark.parametrize("frames", [1, 9])
def test_any_prompt_fits(prompt: str | None, frames: int) -> None:
    ranked = ranked_of([1.0, 1.0], interrupted=[3, 4], motion=[1.0, 2.0], semantic=[2.0, 0.0])
    sheet = contact_sheet_of(ranked, [Thumbnails.of(plain(0.5, frames=frames))] * 2, prompt)
    right = np.asarray(sheet)[:, -10:]
    assert (right == (0xEE, 0xF0, 0xF3)).all()  # nothing runs over the edge


def test_best_of_n_writes_it(tiny: Callable[[str], Any], tmp_path: Path) -> None:
    def bright(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        return frames.mean(dim=(1, 2, 3, 4))

    made = tiny("wan")
    path = tmp_path / "sheet.png"
    ranked = best_of_n(
        made.pipe, bright, "a cat", 3, seed=0, progress=False, contact_sheet=path, **made.kwargs
    )
    with Image.open(path) as sheet:
        assert sheet.format == "PNG"
        pixels = np.asarray(sheet).astype(int)
    first = np.asarray(Thumbnails.of(ranked.frames[0]).images[0]).astype(int)
    height, width = first.shape[:2]
    places = [
        (y, x)
        for y in range(pixels.shape[0] // 2)
        for x in range(260, 300)
        if (pixels[y, x : x + width] == first[0]).all()
    ]
    ((y, x),) = places
    assert (pixels[y : y + height, x : x + width] == first).all()


def test_a_dimension_that_was_not_trained_is_marked(
    tiny: Callable[[str], Any], light_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, reward = tiny("wan"), VideoReward.from_pretrained(light_checkpoint)
    reward.model.config.trained = ("overall",)
    weights = {"overall": 1.0, "technical": 0.5}
    drawn: list[str] = []
    text = ImageDraw.ImageDraw.text

    def noted(self: ImageDraw.ImageDraw, xy: Any, said: str, *args: Any, **kwargs: Any) -> None:
        drawn.append(said)
        text(self, xy, said, *args, **kwargs)

    ranked = best_of_n(
        *(made.pipe, reward, "a cat", 2), seed=0, progress=False, weights=weights, **made.kwargs
    )
    assert ranked.untrained == ("technical",)
    lines = repr(ranked).splitlines()
    assert lines[1].split() == ["rank", "seed", "total", "technical*", "overall"]
    assert lines[-1] == "* not trained in this checkpoint: technical"
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", noted)
    contact_sheet_of(ranked, [Thumbnails.of(plain(0.5))] * 2, "a cat")
    assert "technical*" in drawn and "technical" not in drawn and "overall" in drawn
    assert any(said.startswith("* not trained in this checkpoint: technical;") for said in drawn)


def test_candidates_print_as_a_table() -> None:
    ranked = ranked_of([0.25, 0.5], interrupted=[9], motion=[1.5, 2.0])
    assert repr(ranked).splitlines() == [
        "Ranked(2 candidates, 1 interrupted; frames (1, 9, 3, 32, 48))",
        "rank  seed  total  motion",
        "   1     8  0.500   2.000",
        "   2     7  0.250   1.500",
    ]
    assert ranked.rows()[0] == {"rank": 1, "seed": 8, "total": 0.5, "motion": 2.0}
    assert repr(ranked_of([float(i) for i in range(12)])).splitlines()[-1] == "... and 2 more"
