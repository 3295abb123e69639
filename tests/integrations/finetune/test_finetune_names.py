"""The names of aigv_reward.integrations.finetune load when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aigv_reward.integrations import finetune


def test_every_public_name_has_a_home_and_loads() -> None:
    assert sorted(finetune.__all__) == sorted(finetune._HOME)
    for name in finetune.__all__:
        assert getattr(finetune, name).__module__.startswith("aigv_reward.integrations.finetune")
        assert name in dir(finetune)


def test_a_name_that_is_none() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'RewardTrainer'"):
        finetune.RewardTrainer  # noqa: B018


def test_without_diffusers_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['diffusers'] = None\n"
        "from aigv_reward.integrations.finetune import HackingWatch"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert (
        "ImportError: aigv_reward.integrations.finetune.HackingWatch needs diffusers: "
        'pip install "aigv-reward[diffusers]"' in ran.stderr
    )
