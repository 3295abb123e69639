"""One picture of ranked candidates, for people to look at."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from aigv_reward.integrations.diffusers.ranked import Ranked

_FRAMES = 5
_BOX = (208, 236)  # a thumbnail's greatest width and height
_PANEL, _PAD, _GAP = 236, 16, 6
_TOP, _LINE, _UNDER = 36, 33, 8  # rank and seed; a score and its bar; of it, the space below
_PAGE, _CARD, _INK, _FAINT, _RULE = "#eef0f3", "#ffffff", "#1c2430", "#6b7482", "#dfe3e8"
# Tried in turn for a prompt that Pillow's own font lacks letters of; without one it is left out.
_SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSansCJK-Regular.ttc",
    "Arial Unicode.ttf",
    "msyh.ttc",
)
_ABSENT = "\uffff"  # no character: every font draws its box for it
_BAR, _BEST = "#9aa7b8", "#17795e"


@dataclass(frozen=True)
class Thumbnails:
    """A few small frames of a candidate, spread over its time."""

    images: tuple[Image.Image, ...]

    @classmethod
    def of(cls, frames: Tensor) -> Thumbnails:
        """Of frames (T, 3, H, W) in [0, 1]; fewer than five where the video is shorter."""
        times = torch.linspace(0, len(frames) - 1, min(_FRAMES, len(frames))).round().long()
        pixels = (frames[times.to(frames.device)].clamp(0, 1) * 255).round().to(torch.uint8)
        arrays = pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return cls(tuple(_fitted(Image.fromarray(array)) for array in arrays))


def contact_sheet_of(
    ranked: Ranked, thumbnails: Sequence[Thumbnails], prompt: str | None
) -> Image.Image:
    """A row for each candidate, best first: rank, seed, scores, frames in time.

    Args:
        ranked: the candidates.
        thumbnails: of each, in the order of `ranked.seeds`.
        prompt: for the heading.
    """
    columns = _columns(ranked)
    box = thumbnails[0].images[0].size
    shown = len(thumbnails[0].images)
    strip = shown * box[0] + (shown - 1) * _GAP
    panel = _TOP + _LINE * len(columns) - _UNDER
    row = max(box[1], panel) + 2 * _PAD
    width = 2 * _PAD + _PAD + _PANEL + _PAD + strip + _PAD
    heading = _heading(ranked, prompt, width - 2 * _PAD)
    top = _PAD + sum(_height(font) for _, font, _ in heading) + 8
    sheet = Image.new("RGB", (width, top + len(ranked.order) * (row + 10) + _PAD - 10), _PAGE)
    draw = ImageDraw.Draw(sheet)
    y = _PAD
    for text, font, colour in heading:
        draw.text((_PAD, y), text, font=font, fill=colour)
        y += _height(font)
    for rank, index in enumerate(ranked.order):
        y = top + rank * (row + 10)
        draw.rounded_rectangle((_PAD, y, width - _PAD, y + row), radius=8, fill=_CARD)
        if rank == 0:
            draw.rounded_rectangle((_PAD, y, _PAD + 6, y + row), radius=3, fill=_BEST)
        _scores(draw, (2 * _PAD, y + (row - panel) // 2), rank, ranked.seeds[index], columns, index)
        x = 2 * _PAD + _PANEL + _PAD
        for image in thumbnails[index].images:
            sheet.paste(image, (x, y + (row - box[1]) // 2))
            x += box[0] + _GAP
    return sheet


def _scores(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    rank: int,
    seed: int,
    columns: dict[str, Tensor],
    index: int,
) -> None:
    """Rank, seed, and each score with a bar from the worst to the best candidate."""
    left, y = corner
    right = left + _PANEL
    colour = _BEST if rank == 0 else _INK
    draw.text((left, y - 4), f"#{rank + 1}", font=_font(26), fill=colour)
    draw.text((right, y + 4), f"seed {seed}", font=_font(15), fill=_FAINT, anchor="ra")
    y += _TOP
    for place, (name, column) in enumerate(columns.items()):
        value, low, high = float(column[index]), float(column.min()), float(column.max())
        strong = place == 0
        draw.text((left, y), name, font=_font(15), fill=_INK if strong else _FAINT)
        draw.text((right, y), f"{value:.3f}", font=_font(15), fill=_INK, anchor="ra")
        share = (value - low) / (high - low) if high > low else 1.0
        bar = (left, y + 22, right, y + 25)
        draw.rectangle(bar, fill=_RULE)
        end = left + max(2, round(share * (right - left)))
        draw.rectangle((left, bar[1], end, bar[3]), fill=_BEST if strong else _BAR)
        y += _LINE


def _columns(ranked: Ranked) -> dict[str, Tensor]:
    """What decides first, then the dimensions; a total that is one of them is not said twice."""
    same = [name for name, column in ranked.scores.items() if torch.equal(column, ranked.total)]
    first = same[0] if same else "total"
    columns = {first: ranked.total} | {n: c for n, c in ranked.scores.items() if n != first}
    return {ranked.label(name): column for name, column in columns.items()}


Font: TypeAlias = ImageFont.FreeTypeFont


def _heading(ranked: Ranked, prompt: str | None, width: int) -> list[tuple[str, Font, str]]:
    count, frames = len(ranked.order), ranked.frames
    first = next(iter(_columns(ranked)))
    title = f"{count} candidate{'s' if count > 1 else ''}, best {first} first"
    height, across = frames.shape[-2:]
    facts = f"{frames.shape[1]} frames of {across}x{height}; bars run from worst to best"
    if ranked.interrupted:
        facts += f"; interrupted: seed {', '.join(map(str, ranked.interrupted))}"
    if ranked.untrained:
        facts = f"* not trained in this checkpoint: {', '.join(ranked.untrained)}; {facts}"
    lines = [(title, _font(24), _INK)]
    font = _font_for(prompt or "", 17)
    if font is not None:
        lines += [(line, font, _INK) for line in _wrapped(prompt or "", font, width, most=3)]
    small = _font(14)
    return lines + [(line, small, _FAINT) for line in _wrapped(facts, small, width, most=2)]


def _wrapped(text: str, font: Font, width: int, *, most: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    if len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1]} ..."]
    return [_cut(line, font, width) for line in lines]


def _cut(line: str, font: Font, width: int) -> str:
    """A line that has no spaces to break at, as of Chinese, as far as it fits."""
    if font.getlength(line) <= width:
        return line
    fits = bisect_right(
        range(len(line)), float(width), key=lambda n: font.getlength(f"{line[:n]} ...")
    )
    return f"{line[: max(0, fits - 1)]} ..."


def _height(font: Font) -> int:
    return round(font.size) + 8


def _fitted(image: Image.Image) -> Image.Image:
    scale = min(_BOX[0] / image.width, _BOX[1] / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)


@lru_cache
def _font(size: int) -> Font:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _font_for(text: str, size: int) -> Font | None:
    """A font that has all of a text: Pillow's own has little but ASCII."""
    for name in (None, *_SYSTEM_FONTS):
        try:
            font = _font(size) if name is None else ImageFont.truetype(name, size)
        except OSError:
            continue
        absent = bytes(font.getmask(_ABSENT))
        letters = {letter for letter in text if not letter.isspace()}
        if all(bytes(font.getmask(letter)) != absent for letter in letters):
            return font
    return None
