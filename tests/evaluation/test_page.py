"""The page of an evaluation: whole, escaped, and reaching nothing."""

from __future__ import annotations

from base64 import b64encode
from html.parser import HTMLParser
from pathlib import Path

from aigv_reward.evaluation.bootstrap import Bootstrap
from aigv_reward.evaluation.evaluate import evaluate
from aigv_reward.evaluation.page import evaluation_page
from aigv_reward.evaluation.scoring import VideoScores
from aigv_reward.training.opinions import Choice, Opinion, Preference

SCRIPT = "<script>alert('x')</script>"
VOID = {"meta", "img"}


class Page(HTMLParser):
    """Checks that tags close in order, and keeps text, links and tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data + " "


def opinions_page(failures: int = 1) -> tuple[str, bytes]:
    opinions, scores, failed = [], {}, {}
    for i in range(12):
        path = Path(f"{i}.mp4")
        maker = SCRIPT if i % 2 else "sora"
        opinions.append(Opinion(path, None, {"overall": i % 5, "motion": i % 4}, maker))
        scores[path] = {"overall": 0.1 * i, "motion": 2.0}
    for i in range(failures):
        path = Path(f"bad{i}<i>.mp4")
        opinions.append(Opinion(path, None, {"overall": 1.0, "technical": 2.0}))
        failed[path] = "it is empty & <0 bytes>"
    table = VideoScores(scores, failed, untrained=("motion",))  # type: ignore[arg-type]
    result = evaluate(table, opinions, bootstrap=Bootstrap(20))
    return evaluation_page(result, b"picture", {"list": f"a {SCRIPT}.csv"}), b"picture"


def test_the_page_is_whole_and_reaches_nothing() -> None:
    html, picture = opinions_page()
    page = Page(html)
    assert page.links == [f"data:image/png;base64,{b64encode(picture).decode()}"]
    assert "script" not in page.tags
    assert "url(" not in html
    assert "@import" not in html
    assert f"a {SCRIPT}.csv" in page.text
    assert page.text.count(SCRIPT) > 3


def test_the_page_says_what_the_result_says() -> None:
    text = Page(opinions_page()[0]).text
    for said in (
        "12 videos were scored. 1 could not be scored and are left out.",
        "Intervals span 95 % of 20 bootstrap resamples of videos, seed 0.",
        "* not trained in this checkpoint: motion.",
        "Rated but not scored: technical.",
        "motion*",
        "PLCC, logistic",
        "all 12 scores are equal",
        "bad0<i>.mp4",
        "it is empty & <0 bytes>",
        "overall by generator",
    ):
        assert said in text


def test_figures_have_three_decimals_and_their_interval() -> None:
    opinions = [Opinion(Path(str(i)), None, {"overall": float(i)}) for i in range(9)]
    scores = {str(i): {"overall": float(i % 7)} for i in range(9)}
    result = evaluate(scores, opinions, bootstrap=Bootstrap(30))  # type: ignore[arg-type]
    one = result["overall"].all.estimates["srcc"]
    text = Page(evaluation_page(result, b"", {})).text
    assert f"{one.value:.3f} {one.low:.3f} .. {one.high:.3f}" in text
    bare = evaluate(scores, opinions, bootstrap=Bootstrap(0))  # type: ignore[arg-type]
    text = Page(evaluation_page(bare, b"", {})).text
    assert "There are no intervals." in text
    assert " .. " not in text


def test_many_failures_are_counted_rather_than_shown() -> None:
    text = Page(opinions_page(failures=230)[0]).text
    assert text.count("it is empty") == 200
    assert "and 30 more, in scores.csv" in text


def test_a_page_of_preferences() -> None:
    choices: tuple[Choice, ...] = ("A", "B", "same")
    pairs = [
        Preference(Path(f"{i}a"), Path(f"{i}b"), "p", {"overall": choices[i % 3]}, "kling", "wan")
        for i in range(9)
    ]
    scores = {f"{i}{side}": {"overall": some_score(i, side)} for i in range(9) for side in "ab"}
    result = evaluate(scores, pairs, bootstrap=Bootstrap(20))  # type: ignore[arg-type]
    text = Page(evaluation_page(result, b"", {})).text
    for said in (
        "Agreement with preferences",
        "accuracy with ties",
        "accuracy without ties",
        "bootstrap resamples of prompts",
        "overall by generator",
        "pairs with it",
    ):
        assert said in text
    assert "PLCC" not in text


def some_score(number: int, side: str) -> float:
    """Some score, the same in every run."""
    return (number * 7 + (3 if side == "a" else 0)) % 5 / 5
