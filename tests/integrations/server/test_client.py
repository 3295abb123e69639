"""The clients against servers that fail: asked again, never answered with a number."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from aigv_reward.integrations.server import (
    AsyncRemoteReward,
    RemoteReward,
    Retries,
    RewardUnavailable,
)

FRAMES = torch.zeros(2, 3, 3, 8, 8, dtype=torch.uint8)
QUICK = Retries(attempts=3, first=1e-4, longest=1e-3)
SCORES = [{"id": "0", "scores": {"overall": 4.0}}, {"id": "1", "scores": {"overall": 2.5}}]
GOOD = {"dimensions": ["overall"], "trained": ["overall"], "calibrated": False, "results": SCORES}

Answer = httpx.Response | Exception


def changed(*, score: str = "4.0", **fields: Any) -> str:
    """A good answer but for one score, or some of its fields."""
    return json.dumps({**GOOD, **fields}).replace("4.0", score)


def asked(
    answers: list[Answer], use: Callable[[Any], Any], *, awaited: bool, **options: Any
) -> tuple[Any, int]:
    """What either client makes of a server's answers, and how often it asked."""
    left = list(answers)

    def handler(request: httpx.Request) -> httpx.Response:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        coding = answer.headers.get("content-encoding", "identity")
        headers = {"content-encoding": coding}
        return httpx.Response(answer.status_code, headers=headers, content=answer.content)

    options |= {"retries": QUICK, "transport": httpx.MockTransport(handler)}
    if not awaited:
        with RemoteReward("http://user:secret@server:8000", **options) as remote:
            found = use(remote)
    else:

        async def main() -> Any:
            async with AsyncRemoteReward("http://user:secret@server:8000", **options) as remote:
                return await use(remote)

        found = asyncio.run(main())
    return found, len(answers) - len(left)


both = pytest.mark.parametrize("awaited", [False, True], ids=["sync", "async"])


@both
@pytest.mark.parametrize(
    "failure",
    [httpx.ConnectError("refused"), httpx.ReadError("reset"), httpx.ReadTimeout("slow")]
    + [httpx.Response(status) for status in (408, 429, 500, 502, 503, 504)],
    ids=str,
)
def test_asks_again(failure: Answer, awaited: bool) -> None:
    answers = [failure, failure, httpx.Response(200, json=GOOD)]
    found, times = asked(answers, lambda remote: remote(FRAMES), awaited=awaited)
    assert found["overall"].tolist() == [4.0, 2.5]
    assert times == 3


@both
@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (httpx.ConnectError("refused"), "no scores after 3 attempts: ConnectError refused"),
        (httpx.Response(503, text="full"), "no scores after 3 attempts: server answered 503 full"),
    ],
)
def test_gives_up(failure: Answer, message: str, awaited: bool) -> None:
    with pytest.raises(RewardUnavailable, match=message):
        asked([failure] * 3, lambda remote: remote(FRAMES), awaited=awaited)


@both
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 415, 422])
def test_a_refusal_is_final(status: int, awaited: bool) -> None:
    answer = httpx.Response(status, json={"error": {"type": "x", "message": "because"}})
    with pytest.raises(ValueError, match=rf"refuses the request \({status}\): because"):
        asked([answer], lambda remote: remote(FRAMES), awaited=awaited)
    with pytest.raises(ValueError, match=rf"refuses the request \({status}\): because"):
        asked([answer], lambda remote: remote.info(), awaited=awaited)


@both
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html>", "'<html>' is no JSON object; check the address"),
        ("[" * 100_000, r"'\[+\.\.\. is no JSON object"),
        ("[]", "is no JSON object"),
        (changed(score="NaN"), "is no JSON object"),
        (changed(score="Infinity"), "is no JSON object"),
        (changed(score="1e999"), r"overall of videos\[0\] is inf, no finite number"),
        (changed(score="1e39"), r"is 1e\+39, no finite number"),  # infinite as a float32
        (changed(score="1" * 400), r"is 11+\.\.\., no finite number"),
        (changed(score="null"), "is None, no finite number"),
        (changed(score="true"), "is True, no finite number"),
        (changed(score='"4.0"'), "is '4.0', no finite number"),
        (changed(results=SCORES[:1]), r"has no result for videos\[1\]"),
        (changed(results=["4.0", "2.5"]), r"'results' is \['4.0', '2.5'\], no list of objects"),
        (changed(results=[*SCORES, SCORES[0]]), "a result for '0', which was asked for at most"),
        (changed(results=[*SCORES, {"id": "2"}]), "a result for '2', which was asked for at most"),
        (changed(results=[{"id": "0"}, SCORES[1]]), r"videos\[0\] has neither scores nor an error"),
        (changed(results=[{"id": "0", "error": "x"}]), "has neither scores nor an error"),
        (changed(dimensions=None), "'dimensions' is None, no list of dimensions"),
        (changed(dimensions=[]), "it scores no dimension"),
        (changed(dimensions=["overall", "motion"]), "motion of videos.0. is None, no finite"),
        (changed(trained="overall"), "'trained' is 'overall', no list of dimensions"),
        (changed(trained=["motion"]), "no scores for 'motion', only for"),
        (changed(calibrated=0), "'calibrated' is 0, neither true nor false"),
    ],
)
def test_what_is_no_answer(text: str, message: str, awaited: bool) -> None:
    with pytest.raises(RewardUnavailable, match=message) as raised:
        asked([httpx.Response(200, text=text)], lambda remote: remote(FRAMES), awaited=awaited)
    assert str(raised.value).startswith("http://server:8000/v1/score answers, but not as a reward")


@both
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html>", "'<html>' is no JSON object; check the address"),
        ("[]", "is no JSON object"),
        ('{"ok": true}', "'dimensions' is None, no list of dimensions"),
    ],
)
def test_who_is_no_reward_server(text: str, message: str, awaited: bool) -> None:
    with pytest.raises(RewardUnavailable, match=message) as raised:
        asked([httpx.Response(200, text=text)], lambda remote: remote.info(), awaited=awaited)
    assert str(raised.value).startswith("http://server:8000/v1/info answers, but not as a reward")


@both
@pytest.mark.parametrize("call", [lambda remote: remote(FRAMES), lambda remote: remote.info()])
def test_an_answer_that_cannot_be_decoded(call: Callable[[Any], Any], awaited: bool) -> None:
    answer = httpx.Response(200, content=b"junk")
    answer.headers["content-encoding"] = "gzip"
    message = r"http://server:8000/v1/.* its content cannot be decoded \(.*\); check the address"
    with pytest.raises(RewardUnavailable, match=message):
        asked([answer], call, awaited=awaited)


def test_what_was_asked_for_is_answered() -> None:
    answer = httpx.Response(200, json=GOOD)
    with pytest.raises(RewardUnavailable, match=r"no scores for 'motion', only for \['overall'\]"):
        asked([answer], lambda r: r.score(FRAMES, dimensions=["motion"]), awaited=False)


def test_answers_of_two_checkpoints_are_not_one() -> None:
    answers: list[Answer] = [
        httpx.Response(200, json={**GOOD, "results": SCORES[:1], "score_version": "lite-2"}),
        httpx.Response(200, json={**GOOD, "results": SCORES[1:], "score_version": "lite-3"}),
    ]
    with pytest.raises(RewardUnavailable, match="differ in score_version: lite-2, then lite-3"):
        asked(answers, lambda remote: remote(FRAMES), awaited=False, most_videos=1)


def test_a_checkpoint_that_was_trained_for_nothing() -> None:
    answer = httpx.Response(200, json={**GOOD, "trained": []})
    with pytest.raises(ValueError, match="name some with dimensions=, of overall"):
        asked([answer], lambda remote: remote(FRAMES), awaited=False)


@pytest.mark.parametrize(
    ("videos", "options", "message"),
    [
        ([], {}, "videos is empty"),
        ("clip.mp4", {}, "one video that is not in a list"),
        (
            FRAMES,
            {"dimensions": "overall"},
            "dimensions is one string, 'overall'; wrap it",
        ),
        (FRAMES, {"prompts": ["a"]}, "prompts has 1 entries for 2 videos"),
        (FRAMES, {"prompts": "ab"}, "prompts has one string for 2 videos"),
        (FRAMES, {"fps": [1.0]}, "fps has 1 entries for 2 videos"),
        (FRAMES[:, :, :2], {}, r"frames of shape \(3, 2, 8, 8\): one video is"),
        (FRAMES.long(), {}, "frames of dtype torch.int64; pass uint8 0..255 or float 0..1"),
        (FRAMES.float() + torch.nan, {}, "frames hold NaN or infinite pixels"),
        (FRAMES.float() + 2, {}, r"float frames span 2..2, expected 0..1"),
    ],
)
def test_what_is_never_sent(videos: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        asked([], lambda remote: remote.score(videos, **options), awaited=False)


def test_large_calls_are_split(tmp_path: Path) -> None:
    requests: list[list[str]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        text = request.read().decode("latin-1")
        start = text.index('{"items"') if '{"items"' in text else None
        if start is None:
            header = json.loads(text[8 : 8 + int.from_bytes(request.content[:8], "little")])
            items = json.loads(header["__metadata__"]["aigv_reward"])["items"]
        else:
            items = json.JSONDecoder().raw_decode(text[start:])[0]["items"]
        ids = [item["id"] for item in items]
        requests.append(ids)
        results = [{"id": one, "scores": {"overall": float(one)}} for one in ids]
        return httpx.Response(200, json={**GOOD, "results": results})

    clip = tmp_path / "clip.mp4"
    clip.write_bytes(bytes(500))
    videos = [FRAMES[0], bytes(500), clip, FRAMES[0], str(clip), FRAMES[0]]
    with RemoteReward(
        "http://server", transport=httpx.MockTransport(handler), most_bytes=1200, most_videos=5
    ) as remote:
        scores = remote.score(videos, fps=16)
    assert requests == [["0", "3"], ["5"], ["1", "2"], ["4"]]
    assert scores.overall.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_waits_are_random_bounded_and_at_least_what_the_server_asks() -> None:
    retries = Retries(attempts=9, first=1.0, longest=5.0, _random=random.Random(0))
    for attempt, bound in enumerate([1, 2, 4, 5, 5, 5]):
        waits = [retries.wait(attempt) for _ in range(300)]
        assert 0 <= min(waits) < 0.1 * bound
        assert 0.9 * bound < max(waits) <= bound
    busy = httpx.Response(503, headers={"retry-after": "3"})
    assert all(3 <= (retries.after(0, busy) or 0) <= 4 for _ in range(100))
    later = httpx.Response(503, headers={"retry-after": "86400"})
    assert (retries.after(0, later) or 0) <= 6
    assert retries.after(0, httpx.Response(422)) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attempts": 0}, "attempts is 0; ask at least once"),
        ({"first": 0.0}, "first is 0.0 s and longest 20.0 s; give 0 < first <= longest"),
        ({"first": 30.0}, r"first is 30.0 s and longest 20.0 s"),
    ],
)
def test_retries_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Retries(**options)
