from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import pytest
import torch
from torch import Tensor

from aigv_reward import VideoReward
from aigv_reward.integrations.rewards import BatchScores, scores_of

README = Path(__file__).parents[3] / "integrations" / "frameworks" / "README.md"
HOSTS = Path(__file__).parent / "hosts"
FPS = 16.0


def _toy(frames: Tensor, prompts: Sequence[str | None] | None, *, fps: Any = None) -> Any:
    """Four numbers that no other order of the axes, range, prompt or frame rate would give."""
    assert fps == FPS and frames.dtype == torch.float32 and frames.shape[2] == 3
    assert frames.min() >= 0 and frames.max() <= 1 and not isinstance(prompts, str)
    ramps = [torch.linspace(1, 2, size) for size in frames.shape[1:]]
    texts = [0] * len(frames) if prompts is None else [len(text or "") for text in prompts]
    return {
        "technical": torch.einsum("btchw,h,w->b", frames, ramps[2], ramps[3]),
        "motion": torch.einsum("btchw,t->b", frames, ramps[0]),
        "semantic": torch.einsum("btchw,c->b", frames, ramps[1]) + torch.tensor(texts),
        "overall": frames.square().mean(dim=(1, 2, 3, 4)),
    }


def _plain(frames: Tensor, prompts: Sequence[str | None] | None, *, fps: Any = None) -> Tensor:
    return frames.mean(dim=(1, 2, 3, 4))


@pytest.fixture(scope="session")
def toy() -> Any:
    return _toy


@pytest.fixture(scope="session")
def plain() -> Any:
    return _plain


@pytest.fixture(scope="session")
def broken() -> Any:
    """A reward whose last score of a batch is not a number."""

    def reward(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        return torch.cat([_plain(frames, prompts)[:-1], torch.tensor([float("nan")])])

    return reward


@pytest.fixture(scope="session")
def lite() -> VideoReward:
    return VideoReward.from_pretrained()


@pytest.fixture(params=["toy", "lite"])
def reward(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def frames() -> Tensor:
    """(B, T, 3, H, W) on whole grey levels, all sizes different; what a host has, in our layout."""
    generator = torch.Generator().manual_seed(0)
    levels = torch.randint(0, 256, (2, 9, 3, 40, 56), generator=generator)
    return levels.float() / 255


@pytest.fixture(scope="session")
def prompts() -> list[str]:
    return ["a cat surfing", "a dog"]


@pytest.fixture(scope="session")
def lite_scores(lite: VideoReward, frames: Tensor, prompts: list[str]) -> BatchScores:
    with torch.no_grad():
        return scores_of(lite, frames, prompts, fps=FPS)


@pytest.fixture
def expected(
    reward: Any, frames: Tensor, prompts: list[str], lite_scores: BatchScores
) -> BatchScores:
    """What the reward says of `frames` when it is asked directly."""
    return lite_scores if reward is not _toy else scores_of(_toy, frames, prompts, fps=FPS)


@pytest.fixture(scope="session")
def _hosts() -> Iterator[None]:
    sys.path.insert(0, str(HOSTS))
    yield
    sys.path.remove(str(HOSTS))


@pytest.fixture(scope="session")
def flow_factory(_hosts: None) -> Any:
    """The small Flow-Factory of this folder."""
    import flow_factory.rewards.my_reward_remote

    return flow_factory.rewards


@pytest.fixture(scope="session")
def data_juicer(_hosts: None) -> Any:
    """The operators of the small data-juicer of this folder."""
    import data_juicer.ops

    return data_juicer.ops


@pytest.fixture(scope="session")
def nemo_curator(_hosts: None) -> Any:
    """The stages of the small NeMo Curator of this folder."""
    import nemo_curator.stages.base

    return nemo_curator.stages.base


@pytest.fixture
def named(toy: Any, broken: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a host's configuration calls the toy; "my_rewards:broken" fails."""
    module = ModuleType("my_rewards")
    module.toy, module.broken = toy, broken  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_rewards", module)
    return "my_rewards:toy"


@pytest.fixture(scope="session")
def clips(frames: Tensor, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two mp4 files of 16 frames a second: noise, and the same noise at a fifth of its contrast."""
    folder = tmp_path_factory.mktemp("clips")
    paths = []
    for index, contrast in enumerate((1.0, 0.2)):
        path = folder / f"{index}.mp4"
        with av.open(path, "w") as container:
            stream = container.add_stream("libx264", rate=16)
            stream.height, stream.width = frames.shape[-2:]
            stream.pix_fmt = "yuv420p"
            for picture in (frames[0] * 255 * contrast).byte().permute(0, 2, 3, 1).numpy():
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        paths.append(path)
    return paths


@pytest.fixture
def snippets() -> Callable[[str], list[tuple[str, str]]]:
    """`snippets("GenRL")`: the code blocks of a section of the README, (language, code)."""
    text = README.read_text()

    def blocks(section: str) -> list[tuple[str, str]]:
        (body,) = re.findall(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
        return re.findall(r"^```(\w+)[^\n]*\n(.*?)^```$", body, re.M | re.S)

    return blocks
