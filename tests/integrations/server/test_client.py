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


def asked(answers: list[Answer], use: Callable[[Any], Any], *, awaited: bool) -> tuple[Any, int]:
    """What either client makes of a server's answers, and how often it asked."""
    left = list(answers)

    def handler(request: httpx.Request) -> httpx.Response:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, content=answer.content)

    options: Any = {"retries": QUICK, "transport": httpx.MockTransport(handler)}
    if not awaited:
        with RemoteReward("http://server", **options) as remote:
            found = use(remote)
    else:

        async def main() -> Any:
            async with AsyncRemoteReward("http://server", **options) as remote:
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
        ("hello", "not as a reward server does; check the address"),
        ("[]", "not as a reward server does"),
        (json.dumps(GOOD).replace("4.0", "NaN"), "not as a reward server does"),
        (json.dumps(GOOD).replace("4.0", "Infinity"), "not as a reward server does"),
        (json.dumps({**GOOD, "results": SCORES[:1]}), r"has no result for videos\[1\]"),
    ],
)
def test_what_is_no_answer(text: str, message: str, awaited: bool) -> None:
    with pytest.raises(RewardUnavailable, match=message):
        asked([httpx.Response(200, text=text)], lambda remote: remote(FRAMES), awaited=awaited)


def test_a_checkpoint_that_was_trained_for_nothing() -> None:
    answer = httpx.Response(200, json={**GOOD, "trained": []})
    with pytest.raises(ValueError, match="name some with dimensions=, of overall"):
        asked([answer], lambda remote: remote(FRAMES), awaited=False)


@pytest.mark.parametrize(
    ("videos", "options", "message"),
    [
        ([], {}, "videos is empty"),
        ("clip.mp4", {}, "one video that is not in a list"),
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
