"""The process with the model, here: one video's error is its own, a useless device ends it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from aigv_reward import VideoReward
from aigv_reward.integrations.server import model_child
from aigv_reward.integrations.server.decode_job import run_job
from aigv_reward.integrations.server.model_child import Scoring

BROKEN = "the device is broken"


@pytest.fixture(scope="module")
def views(reward: VideoReward, clips: dict[str, Path], tmp_path_factory: Any) -> str:
    """The views of a clip, as a decoder leaves them."""
    path = tmp_path_factory.mktemp("views") / "views"
    job = {"kind": "file", "path": str(clips["city_clean"]), "out": str(path)}
    assert "done" in run_job(reward, job, {"frame_pixels": 1 << 25, "decode_memory": 1 << 31})
    return str(path)


@pytest.fixture
def scoring(reward: VideoReward) -> Any:
    with torch.no_grad():
        yield Scoring(reward)


@pytest.fixture
def failing(reward: VideoReward, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`failing(error, for_ever=...)`: what the prompt "bad" raises, once or from then on."""
    score = reward.score_views

    def install(error: BaseException, *, for_ever: bool) -> None:
        broken = False

        def score_views(views: Any, prompts: Any = None, **options: Any) -> Any:
            nonlocal broken
            if broken or "bad" in (prompts or ()):
                broken = for_ever
                raise error
            return score(views, prompts, **options)

        monkeypatch.setattr(reward, "score_views", score_views)

    return install


def kinds(results: list[dict[str, Any]]) -> list[str]:
    return [result["error"]["type"] if "error" in result else "scores" for result in results]


def test_a_prompt_that_the_tokenizer_refuses(scoring: Scoring, views: str) -> None:
    prompts = ["a cat", "a cat \ud83d", None]
    results = scoring.results([views] * 3, prompts, ["semantic"])
    assert "error" in results[1]
    assert "scores" in results[2]
    assert results[0] == scoring.results([views], ["a cat"], ["semantic"])[0]
    assert scoring.results([views], prompts[1:2], ["semantic"]) == results[1:2]
    assert not scoring.fatal


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("too long"), "invalid_item", "too long"),
        (torch.OutOfMemoryError(), "model_error", "the model ran out of memory"),
        (RuntimeError("a secret"), "model_error", "the model failed (RuntimeError)"),
        (TypeError("a secret"), "model_error", "the model failed (TypeError)"),
    ],
)
def test_an_error_of_one_video(
    scoring: Scoring, views: str, failing: Any, error: Exception, kind: str, message: str
) -> None:
    failing(error, for_ever=False)
    results = scoring.results([views] * 3, [None, "bad", "good"], ["motion"])
    assert kinds(results) == ["scores", kind, "scores"]
    assert results[1]["error"]["message"] == message
    assert not scoring.fatal


def test_a_device_that_is_useless_after_one_video(
    scoring: Scoring, views: str, failing: Any
) -> None:
    """Alone it has its error; others that were with it are not given one in its place."""
    failing(RuntimeError(BROKEN), for_ever=True)
    assert kinds(scoring.results([views], ["bad"], ["motion"])) == ["model_error"]
    assert scoring.fatal
    scoring.fatal = False
    with pytest.raises(RuntimeError, match=BROKEN):
        scoring.results([views] * 2, ["bad", "good"], ["motion"])


@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt()])
@pytest.mark.parametrize("prompts", [["bad"], ["bad", "good"]])
def test_what_is_not_the_video_s_ends_the_process(
    scoring: Scoring, views: str, failing: Any, error: BaseException, prompts: list[str]
) -> None:
    failing(error, for_ever=False)
    with pytest.raises(type(error)):
        scoring.results([views] * len(prompts), prompts, ["motion"])


def test_views_that_are_gone(scoring: Scoring, views: str) -> None:
    results = scoring.results(["no-such", views], [None, None], ["motion"])
    assert kinds(results) == ["decode_error", "scores"]


class Line:
    """A server's end of the line: what it says, and what is answered."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.said, self.answered = list(messages), list[dict[str, Any]]()

    def receive(self) -> dict[str, Any]:
        return self.said.pop(0)

    def messages(self) -> list[dict[str, Any]]:
        return self.said

    def send(self, **message: Any) -> None:
        self.answered.append(message)


def test_a_checkpoint_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"checkpoint": "no-such", "weights": None, "calibrated": False, "device": "cpu"}
    line = Line(settings)
    monkeypatch.setattr(model_child, "Channel", lambda: line)
    with pytest.raises(SystemExit) as ended:
        model_child.main()
    assert ended.value.code == 1
    ((field, told),) = [*line.answered[0].items()]
    assert field == "failed"
    assert told.startswith("ValueError: unknown checkpoint 'no-such'")


def test_it_ends_after_the_answer_that_tells_of_a_useless_device(
    monkeypatch: pytest.MonkeyPatch, light_checkpoint: Path, views: str
) -> None:
    asked = {"views": [views], "prompts": [None], "dimensions": ["motion"]}
    settings = {"checkpoint": str(light_checkpoint), "weights": None, "calibrated": False}
    line = Line({**settings, "device": "cpu"}, {"cancel": 3}, {"id": 4, **asked}, {"id": 5})
    monkeypatch.setattr(model_child, "Channel", lambda: line)
    monkeypatch.setattr(Scoring, "_is_fatal", lambda self, error: True)
    load = model_child.load_file
    monkeypatch.setattr(model_child, "load_file", lambda path: {"no view": load(path)["fast"]})
    with pytest.raises(SystemExit):
        model_child.main()
    ready, answer = line.answered
    assert ready["ready"]["dimensions"] == ["technical", "motion", "semantic", "overall"]
    assert answer["id"] == 4
    assert kinds(answer["results"]) == ["model_error"]
