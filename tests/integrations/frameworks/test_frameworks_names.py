"""The names of aigv_reward.integrations.frameworks load when they are used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aigv_reward.integrations import frameworks


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.usefixtures("flow_factory", "data_juicer", "nemo_curator")
def test_every_public_name_has_a_home_and_loads() -> None:
    assert sorted(frameworks.__all__) == sorted(frameworks._HOME)
    for name in frameworks.__all__:
        home = getattr(frameworks, name).__module__
        assert home.startswith("aigv_reward.integrations.frameworks")
        assert name in dir(frameworks)


def test_a_name_that_is_none() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'TRLReward'"):
        frameworks.TRLReward  # noqa: B018


@pytest.mark.parametrize(
    ("name", "absent", "message"),
    [
        (
            "VideoQuality",
            "torchmetrics",
            'VideoQuality needs torchmetrics: pip install "aigv-reward[frameworks]"',
        ),
        (
            "flow_factory_compute",
            "PIL",
            'flow_factory_compute needs pillow: pip install "aigv-reward[frameworks]"',
        ),
        (
            "FlowFactoryReward",
            "flow_factory",
            "FlowFactoryReward needs Flow-Factory: install it from https://github.com/",
        ),
        (
            "DataJuicerFilter",
            "data_juicer",
            "DataJuicerFilter needs data-juicer: pip install py-data-juicer",
        ),
        (
            "NeMoCuratorStage",
            "nemo_curator",
            "NeMoCuratorStage needs NeMo Curator: pip install nemo-curator",
        ),
    ],
)
def test_what_a_name_needs_is_named(name: str, absent: str, message: str) -> None:
    ran = python(
        f"import sys; sys.modules[{absent!r}] = None\n"
        "import aigv_reward.integrations.frameworks as frameworks\n"
        f"frameworks.{name}"
    )
    assert ran.returncode == 1
    assert f"ImportError: aigv_reward.integrations.frameworks.{message}" in ran.stderr


def test_the_readme_has_every_name_and_is_linked() -> None:
    root = Path(__file__).parents[3]
    text = (root / "integrations" / "frameworks" / "README.md").read_text()
    assert [name for name in frameworks.__all__ if name not in text] == []
    assert "(integrations/frameworks/README.md)" in (root / "README.md").read_text()
