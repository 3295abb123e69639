from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

CLIPS = Path(__file__).parents[3] / "examples" / "clips"


def painted(text: str, seed: int, **columns: Any) -> Tensor:
    """(4, 3, 6, 8): noise of the seed alone, under a tint of the text and of the columns."""
    noise = torch.rand(4, 3, 6, 8, generator=torch.Generator().manual_seed(seed))
    tint = sum(f"{text}{sorted(columns.items())}".encode()) % 97 / 97
    return 0.5 * noise + 0.5 * tint


class Painter:
    """A generator that any column reaches; it remembers its calls, and refuses "broken" texts."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], list[int], dict[str, Any]]] = []

    def __call__(self, prompts: Sequence[str], *, seeds: Sequence[int], **columns: Any) -> Tensor:
        self.calls.append((list(prompts), list(seeds), columns))
        for text in prompts:
            if "broken" in text:
                raise RuntimeError(f"no picture of {text!r}")
        pairs = zip(prompts, seeds, strict=True)
        return torch.stack([painted(text, seed, **columns) for text, seed in pairs])

    @property
    def made(self) -> list[str]:
        """Every prompt that was generated, in order."""
        return [text for prompts, _, _ in self.calls for text in prompts]


def judge(
    frames: Tensor, prompts: Sequence[str | None] | None, *, fps: Any = None
) -> Mapping[str, Tensor]:
    """Four numbers of the pixels, their order in time, the prompt, and all of them."""
    assert prompts is not None and len(prompts) == len(frames)
    light = frames.mean(dim=(1, 2, 3, 4))
    motion = frames.diff(dim=1).abs().mean(dim=(1, 2, 3, 4))
    words = torch.tensor([float(len((text or "").split())) for text in prompts])
    return {"light": light, "motion": motion, "words": words, "overall": light - motion + words}


def bright(frames: Tensor, prompts: Sequence[str | None] | None, *, fps: Any = None) -> Tensor:
    """A plain tensor."""
    return frames.mean(dim=(1, 2, 3, 4))


class Logs:
    """What TRL's `log_metric` and `log_extra` were told."""

    def __init__(self) -> None:
        self.metrics: dict[str, list[float]] = {}
        self.extras: dict[str, list[Any]] = {}

    def metric(self, name: str, value: float) -> None:
        self.metrics.setdefault(name, []).append(value)

    def extra(self, name: str, values: list[Any]) -> None:
        self.extras.setdefault(name, []).extend(values)

    @property
    def columns(self) -> dict[str, Any]:
        """As GRPOTrainer and RLOOTrainer pass them, beside the columns of the data set."""
        return {"trainer_state": object(), "log_metric": self.metric, "log_extra": self.extra}


@pytest.fixture
def painter() -> Painter:
    return Painter()


@pytest.fixture
def logs() -> Logs:
    return Logs()


@pytest.fixture(name="judge", scope="session")
def _judge() -> Any:
    return judge


@pytest.fixture(name="bright", scope="session")
def _bright() -> Any:
    return bright


@pytest.fixture(name="painted", scope="session")
def _painted() -> Any:
    return painted


@pytest.fixture(scope="session")
def clips() -> dict[str, str]:
    """{name: path} of real clips, 32 frames at 16 a second."""
    return {path.stem: str(path) for path in sorted(CLIPS.glob("*.mp4"))}
