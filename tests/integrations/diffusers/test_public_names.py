"""The names of aigv_reward.integrations.diffusers load when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aigv_reward.integrations import diffusers


def test_every_public_name_has_a_home_and_loads() -> None:
    assert sorted(diffusers.__all__) == sorted(diffusers._HOME)
    for name in diffusers.__all__:
        assert getattr(diffusers, name).__module__.startswith("aigv_reward.integrations.diffusers")
        assert name in dir(diffusers)


def test_a_name_that_is_none() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'best_of_none'"):
        diffusers.best_of_none  # noqa: B018


def test_without_diffusers_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['diffusers'] = None\n"
        "from aigv_reward.integrations.diffusers import decode_latents"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert (
        "ImportError: aigv_reward.integrations.diffusers.decode_latents needs diffusers: "
        'pip install "aigv-reward[diffusers]"' in ran.stderr
    )
