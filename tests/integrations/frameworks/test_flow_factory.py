"""FlowFactoryReward and flow_factory_compute in a small Flow-Factory."""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor

from aigv_reward import VideoReward
from aigv_reward.integrations.frameworks import flow_factory_compute
from aigv_reward.integrations.rewards import BatchScores, scores_of

ACCELERATOR = SimpleNamespace(device=torch.device("cpu"))
ENTRY = {
    "reward_model": "aigv_reward.integrations.frameworks.FlowFactoryReward",
    "dtype": "float32",
    "fps": 16,
}


def samples_of(frames: Any, prompts: list[str]) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(prompt=p, video=v, image=None, metadata="{}", latents=torch.zeros(3))
        for v, p in zip(frames, prompts, strict=True)
    ]


@pytest.mark.parametrize(
    ("reward", "batch_size"), [("toy", 1), ("toy", 16), ("lite", 2)], indirect=["reward"]
)
def test_samples(
    flow_factory: Any,
    reward: Any,
    named: str,
    frames: Tensor,
    prompts: list[str],
    expected: BatchScores,
    batch_size: int,
) -> None:
    chosen = {} if isinstance(reward, VideoReward) else {"reward": named}
    model = flow_factory.load_reward_model(
        {**ENTRY, **chosen, "batch_size": batch_size}, ACCELERATOR
    )
    processor = flow_factory.RewardProcessor({"video_quality": model})
    samples = samples_of([video.requires_grad_() for video in frames.clone()], prompts)
    found = processor.compute(samples)["video_quality"]
    torch.testing.assert_close(found, expected.total, rtol=1e-5, atol=1e-5)
    extra = processor.output.extra_info
    assert extra.keys() == expected.values.keys()
    for name, value in extra.items():
        last = expected.values[name][-min(batch_size, 2) :]
        torch.testing.assert_close(value, last, rtol=1e-5, atol=1e-5)


def test_samples_of_different_sizes(flow_factory: Any, named: str, toy: Any) -> None:
    sizes = [(3, 8, 8), (5, 8, 8), (3, 8, 8), (3, 6, 10)]
    videos = [torch.rand(t, 3, h, w) for t, h, w in sizes]
    prompts = ["a", "ab", "abc", "abcd"]
    model = flow_factory.load_reward_model({**ENTRY, "reward": named}, ACCELERATOR)
    processor = flow_factory.RewardProcessor({"video_quality": model})
    found = processor.compute(samples_of(videos, prompts))["video_quality"]
    alone = [scores_of(toy, v[None], [p], fps=16.0) for v, p in zip(videos, prompts, strict=True)]
    torch.testing.assert_close(found, torch.cat([one.total for one in alone]))
    semantic = torch.cat([one.values["semantic"] for one in alone])
    torch.testing.assert_close(processor.output.extra_info["semantic"], semantic)


def test_a_stacked_batch(flow_factory: Any, named: str, frames: Tensor, prompts: list[str]) -> None:
    """What the host makes of PIL frames of one size."""
    model = flow_factory.load_reward_model({**ENTRY, "reward": named}, ACCELERATOR)
    both = [model(prompt=prompts, video=video).rewards for video in (frames, list(frames))]
    assert torch.equal(*both)


def test_a_checkpoint_follows_the_host(flow_factory: Any, frames: Tensor) -> None:
    entry = {**ENTRY, "dtype": "bfloat16", "weights": {"motion": 0.5, "technical": 0.5}}
    model = flow_factory.load_reward_model(entry, ACCELERATOR)
    assert isinstance(model.model, torch.nn.Module)
    assert model.reward.dtype == torch.bfloat16 == model.dtype
    output = model(prompt=["a", "b"], video=list(frames))
    mean = (output.extra_info["motion"] + output.extra_info["technical"]) / 2
    torch.testing.assert_close(output.rewards, mean, rtol=0.01, atol=0.02)


def test_failures_raise(flow_factory: Any, named: str, frames: Tensor, prompts: list[str]) -> None:
    def load(**changed: Any) -> Any:
        entry = {**ENTRY, "reward": named, **changed}
        entry = {name: value for name, value in entry.items() if value is not None}
        return flow_factory.load_reward_model(entry, ACCELERATOR)

    with pytest.raises(ValueError, match="fps is None; give the positive frames per second"):
        load(fps=None)
    with pytest.raises(ValueError, match="unknown option 'server_url'; choose from fps, reward"):
        load(server_url="http://localhost:8000")
    with pytest.raises(ValueError, match="unknown dimension 'sharpness'"):
        load(reward=None, weights={"sharpness": 1.0})
    with pytest.raises(ValueError, match="the samples have no video; this reward scores videos"):
        load()(prompt=prompts, image=list(frames[:, 0]))
    with pytest.raises(ValueError, match="expected layout 'tchw'"):
        load()(prompt=prompts, video=[video.transpose(0, 1) for video in frames])
    with pytest.raises(ValueError, match=r"spans -1..1; expected finite values in 0..1"):
        load()(prompt=prompts, video=list(frames * 2 - 1))
    with pytest.raises(ValueError, match="prompts is 1 entries for 2 videos"):
        load()(prompt=prompts[:1], video=list(frames))
    with pytest.raises(ValueError, match="there are no videos to score"):
        load()(prompt=[], video=[])
    with pytest.raises(ValueError, match="'reward' is not finite for video 1"):
        load(reward="my_rewards:broken")(prompt=prompts, video=list(frames))


def test_the_readme(
    flow_factory: Any,
    snippets: Callable[[str], list[tuple[str, str]]],
    frames: Tensor,
    prompts: list[str],
) -> None:
    ((_, text),) = snippets("Flow-Factory")
    models = {
        entry["name"]: flow_factory.load_reward_model(entry, ACCELERATOR)
        for entry in yaml.safe_load(text)["rewards"]
    }
    found = flow_factory.RewardProcessor(models).compute(samples_of(frames, prompts))
    assert found.keys() == {"video_quality"}
    assert all(((value > 1) & (value < 5)).all() for value in found.values())


def test_the_readme_of_the_remote_reward(
    flow_factory: Any,
    snippets: Callable[[str], list[tuple[str, str]]],
    lite: VideoReward,
    frames: Tensor,
    prompts: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server's function answers what the client of the README's module sends."""
    (_, server), (_, text), (_, client) = snippets("Flow-Factory, remote")
    host: dict[str, Any] = {}
    exec(server, host)
    (tmp_path / "my_rewards.py").write_text(client)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_rewards", raising=False)
    (entry,) = yaml.safe_load(text)["rewards"]
    model = flow_factory.load_reward_model(entry, ACCELERATOR)
    sys.modules.pop("my_rewards")
    assert "video" in model.required_fields
    model.post = lambda body: json.dumps(host["compute"](json.loads(body)))
    processor = flow_factory.RewardProcessor({"video_quality": model})
    found = processor.compute(samples_of(frames, prompts))["video_quality"]
    with torch.no_grad():
        # the client cuts levels down to whole numbers
        sent = (frames * 255).to(torch.uint8).float() / 255
        wanted = lite(sent, prompts, fps=16)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def png(array: np.ndarray, mode: str | None = None) -> str:
    buffer = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


GREY = png(np.full((6, 8, 3), 51, np.uint8))


def test_a_payload(toy: Any, frames: Tensor, prompts: list[str]) -> None:
    levels = (frames * 255).round().byte().permute(0, 1, 3, 4, 2).numpy()
    payload = {"prompt": prompts, "video": [[png(f) for f in v] for v in levels], "image": None}
    answer = flow_factory_compute(json.loads(json.dumps(payload)), toy, fps=16)
    assert answer.keys() == {"rewards"} and json.dumps(answer)
    wanted = scores_of(toy, frames, prompts, fps=16.0)
    assert answer["rewards"] == pytest.approx(wanted.total.tolist(), rel=1e-5)
    weighted = flow_factory_compute(payload, toy, fps=16, weights={"motion": 1.0})
    assert weighted["rewards"] == pytest.approx(wanted.values["motion"].tolist(), rel=1e-5)


@pytest.mark.parametrize("mode", ["RGBA", "L", "P"])
def test_every_png_is_read_as_rgb(plain: Any, mode: str) -> None:
    text = png(np.full((6, 8, 3), 51, np.uint8), mode)
    answer = flow_factory_compute({"prompt": ["a"], "video": [[text]]}, plain, fps=16)
    assert answer["rewards"] == [pytest.approx(0.2)]


def test_videos_of_different_sizes(plain: Any) -> None:
    bright = png(np.full((4, 4, 3), 255, np.uint8))
    payload = {"prompt": ["a", "b", "c"], "video": [[GREY], [bright, bright], [GREY]]}
    assert flow_factory_compute(payload, plain, fps=16)["rewards"] == pytest.approx([0.2, 1.0, 0.2])


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"prompt": ["a"]}, "has no list 'video'; the client's required_fields must be"),
        ({"prompt": ["a"], "image": [GREY], "video": None}, "has no list 'video'"),
        ({"prompt": [], "video": []}, "has no list 'video'"),
        ({"prompt": ["a", "b"], "video": [[GREY]]}, "prompts is 2 entries for 1 videos"),
        ({"video": [[GREY]]}, "prompts is None for 1 videos"),
        (
            {"prompt": ["a", "a \ud83d"], "video": [[GREY], [GREY]]},
            r"prompt\[1\] has a lone surrogate at character 2, which is half a character; send",
        ),
        ({"prompt": ["a"], "video": [[]]}, r"video\[0\] is no list of frames"),
        ({"prompt": ["a"], "video": [GREY]}, r"video\[0\] is no list of frames"),
        ({"prompt": ["a"], "video": [[GREY, 3]]}, r"video\[0\]\[1\] is a int; send a PNG"),
        ({"prompt": ["a"], "video": [["!!"]]}, r"video\[0\]\[0\] is not a PNG in base64: "),
        ({"prompt": ["a"], "video": [["aGVsbG8="]]}, r"video\[0\]\[0\] is not a PNG"),
        (
            {"prompt": ["a"], "video": [[GREY, png(np.zeros((6, 6, 3), np.uint8))]]},
            r"video\[0\] has frames of 6x6, 8x6; send frames of one size",
        ),
    ],
)
def test_payloads_without_a_score(plain: Any, payload: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        flow_factory_compute(payload, plain, fps=16)


def test_a_damaged_png_never_gets_a_score(plain: Any) -> None:
    """Cut anywhere, or with any byte changed: the picture as it was, or an error."""
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    whole = base64.b64decode(png(noise))

    def score(data: bytes) -> float:
        text = base64.b64encode(data).decode()
        return flow_factory_compute({"prompt": ["a"], "video": [[text]]}, plain, fps=16)["rewards"][
            0
        ]

    wanted = score(whole)
    damaged = [whole[:length] for length in range(0, len(whole) - 12, 3)]
    damaged += [whole[:i] + bytes([whole[i] ^ 0x55]) + whole[i + 1 :] for i in range(8, len(whole))]
    refused = 0
    for data in damaged:
        try:
            assert score(data) == wanted
        except ValueError as error:
            assert "video[0][0] is not a PNG in base64" in str(error)
            refused += 1
    assert refused > 0.8 * len(damaged)


def test_no_score_of_a_reward_that_fails(broken: Any) -> None:
    with pytest.raises(ValueError, match="'reward' is not finite for video 0"):
        flow_factory_compute({"prompt": ["a"], "video": [[GREY]]}, broken, fps=16)
    with pytest.raises(ValueError, match="fps is None"):
        flow_factory_compute({"prompt": ["a"], "video": [[GREY]]}, broken, fps=None)  # type: ignore[arg-type]
