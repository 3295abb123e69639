import dataclasses
import json

import pytest
import torch

from aigv_reward.video.indices import FrameSampling
from aigv_reward.views import FramePlan, ViewSampling, frame_plan

TIMED = ViewSampling(
    key_frames=FrameSampling(4),
    key_size=112,
    fragments=FrameSampling(6, bursts=3, seconds=0.1),
    grid=4,
    patch=16,
    fast=FrameSampling(8, bursts=2, stride=1),
    fast_size=56,
    mean=(1.0, 2.0, 3.0),
    std=(4.0, 5.0, 6.0),
)


def test_the_published_sampling():
    published = ViewSampling.published()
    assert published.key_frames == FrameSampling(8, stride=2, short="wrap")
    assert published.fragments is None
    assert published.fast == FrameSampling(32)
    assert (published.key_size, published.fast_size) == (224, 224)
    assert (published.grid, published.patch) == (7, 32)
    assert published.interpolation == "nearest"
    assert published.mean == (123.675, 116.28, 103.53)
    assert published.std == (58.395, 57.12, 57.375)


def test_bilinear_is_the_default():
    assert TIMED.interpolation == "bilinear"


@pytest.mark.parametrize("sampling", [ViewSampling.published(), TIMED])
def test_it_survives_json(sampling):
    written = json.loads(json.dumps(sampling.to_dict()))
    assert written == sampling.to_dict()
    assert ViewSampling.from_dict(written) == sampling


def test_defaults_may_be_left_out_of_a_dictionary():
    written = ViewSampling.published().to_dict()
    del written["mean"], written["std"], written["fast"]["short"]
    assert ViewSampling.from_dict(written) == ViewSampling.published()


def test_reading_a_dictionary_leaves_it_alone():
    written = TIMED.to_dict()
    before = json.dumps(written)
    ViewSampling.from_dict(written)
    assert json.dumps(written) == before


def test_unknown_keys_are_refused_at_both_levels():
    written = TIMED.to_dict()
    with pytest.raises(ValueError, match="ViewSampling has no patches; its keys are fast, "):
        ViewSampling.from_dict(written | {"patches": 3})
    written["fast"]["step"] = 2
    with pytest.raises(ValueError, match="FrameSampling has no step; its keys are bursts, "):
        ViewSampling.from_dict(written)


def test_missing_keys_are_refused_at_both_levels():
    written = TIMED.to_dict()
    del written["fast"]["num_frames"]
    with pytest.raises(ValueError, match="FrameSampling needs num_frames"):
        ViewSampling.from_dict(written)
    del written["grid"], written["patch"]
    with pytest.raises(ValueError, match="ViewSampling needs grid, patch"):
        ViewSampling.from_dict(written)


@pytest.mark.parametrize("name", ["key_size", "grid", "patch", "fast_size"])
def test_empty_sizes_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} is 0; it must be a whole number of at least 1"):
        dataclasses.replace(TIMED, **{name: 0})


def test_an_unknown_interpolation_is_refused():
    with pytest.raises(ValueError, match="unknown interpolation 'area'; choose bilinear or near"):
        dataclasses.replace(TIMED, interpolation="area")


@pytest.mark.parametrize("values", [{"mean": (1.0,)}, {"std": (1.0, 2.0)}, {"std": (1.0, 0, 1)}])
def test_bad_normalisation_is_refused(values):
    with pytest.raises(ValueError, match=r"mean .* and std .* must be three numbers each"):
        dataclasses.replace(TIMED, **values)


@pytest.mark.parametrize("view", ["key_frames", "fragments", "fast"])
def test_fps_is_needed_where_any_view_is_sampled_by_time(view):
    by_index = dataclasses.replace(TIMED, fragments=None)
    assert not by_index.needs_fps
    timed = dataclasses.replace(by_index, **{view: FrameSampling(2, seconds=0.5)})
    assert timed.needs_fps
    with pytest.raises(ValueError, match=r"fps is None but frames are sampled every 0\.5 s"):
        frame_plan(10, timed)


def test_the_published_plan_by_hand():
    """40 frames: the local clip starts at (40 - 15) // 2 = 12."""
    plan = frame_plan(40, ViewSampling.published())
    assert plan.key_frames.tolist() == [12, 14, 16, 18, 20, 22, 24, 26]
    assert torch.equal(plan.fragments, plan.key_frames)
    assert plan.fast.tolist() == [39 * k // 31 for k in range(32)]


def test_each_view_follows_its_own_rule():
    plan = frame_plan(30, TIMED, fps=20.0)
    assert torch.equal(plan.key_frames, TIMED.key_frames.indices(30))
    assert torch.equal(plan.fragments, TIMED.fragments.indices(30, fps=20.0))
    assert torch.equal(plan.fast, TIMED.fast.indices(30))


def test_the_union_is_sorted_and_unique():
    plan = FramePlan(torch.tensor([7, 1]), torch.tensor([3, 3]), torch.tensor([1, 0]))
    assert plan.union() == [0, 1, 3, 7]


def test_fragments_without_a_rule_follow_randomly_drawn_key_frames():
    sampling = ViewSampling.published()
    plans = [
        frame_plan(200, sampling, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    ]
    assert torch.equal(plans[0].fragments, plans[0].key_frames)
    assert torch.equal(plans[0].key_frames, plans[1].key_frames)
    assert not torch.equal(plans[0].key_frames, plans[2].key_frames)


def test_plans_without_a_generator_do_not_change():
    first, second = (frame_plan(77, TIMED, fps=24.0) for _ in range(2))
    assert first.union() == second.union()
    assert torch.equal(first.fragments, second.fragments)


@pytest.mark.parametrize("num_frames", [1, 2, 5])
def test_short_videos_have_full_plans(num_frames):
    plan = frame_plan(num_frames, ViewSampling.published())
    assert (len(plan.key_frames), len(plan.fragments), len(plan.fast)) == (8, 8, 32)
    assert plan.union() == list(range(num_frames))
