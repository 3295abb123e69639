"""Pictures of evaluations: what is in their pixels and in their text."""

from __future__ import annotations

import io
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from aigv_reward.dimensions import DIMENSIONS
from aigv_reward.evaluation.bootstrap import Bootstrap
from aigv_reward.evaluation.evaluate import evaluate
from aigv_reward.evaluation.plots import (
    BAND,
    COLOURS,
    INK,
    OTHERS,
    differences_png,
    picture,
    scatter_png,
    style,
)
from aigv_reward.evaluation.scoring import VideoScores
from aigv_reward.training.opinions import Opinion, Preference

NONE = Bootstrap(0)


def pixels(png: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB")).astype(int)


def count(image: np.ndarray, colour: str) -> int:
    """Pixels within a few grey levels of a colour."""
    wanted = np.round(np.array(to_rgb(colour)) * 255)
    return int((np.abs(image - wanted).max(axis=-1) <= 8).sum())


def rated(
    makers: list[str | None], dimensions: tuple[str, ...] = ("overall",), seed: int = 0
) -> tuple[list[Opinion], VideoScores]:
    rng = np.random.default_rng(seed)
    opinions, scores = [], {}
    for i, maker in enumerate(makers):
        mos = {name: float(rng.integers(1, 6)) for name in dimensions}
        path = Path(f"{i}.mp4")
        opinions.append(Opinion(path, None, mos, maker))  # type: ignore[arg-type]
        scores[path] = {name: 0.1 * mos[name] + 0.1 * float(rng.normal()) for name in mos}
    return opinions, VideoScores(scores)  # type: ignore[arg-type]


def test_generators_have_their_colours_and_the_logistic_its_line() -> None:
    opinions, table = rated(["a", "b", "c"] * 4)
    result = evaluate(table, opinions, bootstrap=NONE)
    image = pixels(scatter_png(result, opinions, table.scores))
    plain = pixels(
        scatter_png(result, [Opinion(o.path, None, o.scores) for o in opinions], table.scores)
    )
    for colour in COLOURS[1:3]:
        assert count(image, colour) > 40
        assert count(plain, colour) == 0
    assert count(image, COLOURS[3]) == 0
    assert count(image, INK) > 1000
    straight = VideoScores({path: {"overall": 1.0} for path in table.scores})
    without = evaluate(straight, opinions, bootstrap=NONE)
    bare = pixels(scatter_png(without, opinions, straight.scores))
    assert count(bare, INK) < 0.8 * count(image, INK)


def test_a_picture_grows_with_its_dimensions() -> None:
    shapes = []
    for number in (1, 3, 4):
        opinions, table = rated(["a"] * 8, DIMENSIONS[:number])
        result = evaluate(table, opinions, bootstrap=NONE)
        shapes.append(pixels(scatter_png(result, opinions, table.scores)).shape[:2])
    (one, three, four) = shapes
    assert one[0] == three[0] < four[0]
    assert one[1] < four[1] < three[1]


def test_more_generators_than_colours_share_no_style() -> None:
    assert len({style(number) for number in range(49)}) == 49


def test_the_rarest_of_many_generators_are_others() -> None:
    makers: list[str | None] = [f"g{i}" for i in range(14) for _ in range(2)] + ["rare", None]
    opinions, table = rated(makers)
    image = pixels(scatter_png(evaluate(table, opinions, bootstrap=NONE), opinions, table.scores))
    fewer = pixels(
        scatter_png(evaluate(table, opinions[:-2], bootstrap=NONE), opinions[:-2], table.scores)
    )
    assert count(image, OTHERS) > count(fewer, OTHERS) + 60


@pytest.mark.filterwarnings("error")
def test_names_that_matplotlib_would_read_as_something_else() -> None:
    opinions, table = rated(["_hidden", "$x_1$", "a & <b>", "視頻"] * 3)
    result = evaluate(table, opinions, bootstrap=NONE)
    assert count(pixels(scatter_png(result, opinions, table.scores)), COLOURS[3]) > 40


def compared(choices: list[str]) -> tuple[list[Preference], VideoScores]:
    rng = np.random.default_rng(0)
    pairs, scores = [], {}
    for i, choice in enumerate(choices):
        a, b = Path(f"{i}a.mp4"), Path(f"{i}b.mp4")
        pairs.append(Preference(a, b, None, {"overall": choice}))  # type: ignore[dict-item]
        scores[a], scores[b] = {"overall": float(rng.normal())}, {"overall": float(rng.normal())}
    return pairs, VideoScores(scores)  # type: ignore[arg-type]


def test_differences_are_shown_by_choice_with_the_band_of_ties() -> None:
    pairs, table = compared(["A", "same", "B"] * 8)
    image = pixels(differences_png(evaluate(table, pairs, bootstrap=NONE), pairs, table.scores))
    for colour in (COLOURS[0], OTHERS, COLOURS[1], BAND):
        assert count(image, colour) > 500
    decided, table = compared(["A", "A", "A", "A"])
    few = evaluate(table, decided, bootstrap=NONE)
    image = pixels(differences_png(few, decided, table.scores))
    assert count(image, COLOURS[0]) > 500
    assert count(image, COLOURS[1]) == count(image, BAND) == 0


def test_a_picture_is_that_of_its_kind() -> None:
    opinions, table = rated(["a"] * 6)
    image = pixels(picture(evaluate(table, opinions, bootstrap=NONE), opinions, table.scores))
    assert count(image, BAND) == 0
    pairs, table = compared(["A", "B", "same"] * 2)
    image = pixels(picture(evaluate(table, pairs, bootstrap=NONE), pairs, table.scores))
    assert count(image, BAND) > 500


def test_without_matplotlib_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "aigv_reward.evaluation.plots")
    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)
    with pytest.raises(ModuleNotFoundError, match=r'plots need matplotlib: pip install "aigv-rewa'):
        import_module("aigv_reward.evaluation.plots")
