"""The names of aigv_reward.integrations.trl load when they are used."""

from __future__ import annotations

import pytest

from aigv_reward.integrations import trl


def test_every_public_name_has_a_home_and_loads() -> None:
    assert sorted(trl.__all__) == sorted(trl._HOME) and trl._NEEDS.keys() <= trl._HOME.keys()
    for name in trl.__all__:
        assert getattr(trl, name).__module__ == trl._HOME[name]
        assert name in dir(trl)


def test_a_name_that_is_none() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'PromptReward'"):
        trl.PromptReward  # noqa: B018


@pytest.mark.parametrize(
    ("name", "library", "extra"),
    [
        ("VideoPromptReward", "diffusers", "diffusers"),
        ("AsyncVideoPromptReward", "diffusers", "diffusers"),
        ("video_reward_funcs", "diffusers", "diffusers"),
        ("preference_dataset", "datasets", "trl"),
    ],
)
def test_what_a_name_needs_is_named(
    name: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(vars(trl), name, raising=False)
    monkeypatch.setattr(trl, "find_spec", lambda asked: None if asked == library else object())
    message = rf'integrations\.trl\.{name} needs {library}: pip install "aigv-reward\[{extra}\]"'
    with pytest.raises(ImportError, match=message) as caught:
        getattr(trl, name)
    assert caught.value.name == library


@pytest.mark.parametrize("name", ["QualityColumnReward", "bundled_reward"])
def test_clips_of_a_column_need_no_other_library(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(vars(trl), name, raising=False)
    monkeypatch.setattr(trl, "find_spec", lambda asked: None)
    assert callable(getattr(trl, name))
