from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aigv_reward.distortions import render_scene
from aigv_reward.distortions.camera import draw_camera
from aigv_reward.distortions.layers import Layer, cut_out, draw_layers
from aigv_reward.distortions.palette import article, colour_name
from aigv_reward.distortions.textures import FIELDS, draw_texture

SIZE: Any = {"num_frames": 12, "height": 64, "width": 96}
SEEDS = range(24)


@pytest.fixture(scope="module")
def scenes() -> list[Tensor]:
    return [render_scene(seed, **SIZE).frames for seed in SEEDS]


def test_equal_seeds_give_equal_scenes() -> None:
    for seed in (0, 3, 8):
        first, again = render_scene(seed, **SIZE), render_scene(seed, **SIZE)
        assert torch.equal(first.frames, again.frames)
        assert first.caption == again.caption


def test_seeds_give_distinct_scenes(scenes: list[Tensor]) -> None:
    flat = torch.stack(scenes).flatten(1).float()
    gaps = torch.cdist(flat, flat, p=1) / flat.shape[1]
    gaps.fill_diagonal_(255.0)
    assert float(gaps.min()) > 3


def test_frames_are_neither_black_nor_white_nor_empty(scenes: list[Tensor]) -> None:
    for seed, frames in zip(SEEDS, scenes, strict=True):
        assert frames.shape == (12, 3, 64, 96)
        assert frames.dtype == torch.uint8
        assert 8 < float(frames.float().mean()) < 248, seed
        assert float(frames.float().std(dim=(2, 3)).min()) > 1.5, seed


def test_something_moves_and_nothing_jumps(scenes: list[Tensor]) -> None:
    for seed, frames in zip(SEEDS, scenes, strict=True):
        steps = frames.float().diff(dim=0).abs().mean(dim=(1, 2, 3))
        assert float(steps.mean()) > 0.05, seed
        assert float(steps.max()) < 6 * float(steps.median()) + 2, seed


@pytest.mark.parametrize("seed", range(8))
def test_pace_slows_the_same_scene_down_to_a_still(seed: int) -> None:
    clips = [render_scene(seed, pace=pace, **SIZE).frames.float() for pace in (1.0, 0.4, 0.0)]
    spreads = [float((clip.amax(dim=0) - clip.amin(dim=0)).mean()) for clip in clips]
    assert spreads[0] > spreads[1] > spreads[2] == 0
    odd = [render_scene(seed, num_frames=13, height=64, width=96, pace=p).frames for p in (1, 0.4)]
    assert float((odd[0][6].float() - odd[1][6].float()).abs().mean()) < 3


def test_photos_become_backgrounds_of_some_scenes() -> None:
    photo = torch.zeros(3, 80, 120, dtype=torch.uint8)
    photo[0] = 255
    captions = [render_scene(seed, photos=[photo], **SIZE).caption for seed in range(12)]
    found = [caption for caption in captions if "a photograph" in caption]
    assert 0 < len(found) < len(captions)


def test_caption_says_where_a_pan_goes() -> None:
    checked = 0
    for seed in range(400):
        camera = draw_camera(np.random.default_rng(seed), 20, 64, 96)
        if camera.phrase in ("camera pans right", "camera pans left"):
            assert (camera.x[-1] > camera.x[0]) == camera.phrase.endswith("right")
            checked += 1
        if "zooms" in camera.phrase:
            assert (camera.zoom[-1] > camera.zoom[0]) == ("zooms in" in camera.phrase)
    assert checked > 20


def test_no_camera_looks_beyond_the_canvas() -> None:
    for seed in range(60):
        camera = draw_camera(np.random.default_rng(seed), 20, 64, 96)
        canvas = camera.canvas_size(64, 96)
        assert camera.grid((0, 64), (64, 96), canvas).abs().max() <= 1


def test_rows_hidden_by_a_front_layer_are_the_only_ones_left_out() -> None:
    """Against drawing every layer whole."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        camera = draw_camera(rng, 6, 64, 96)
        h, w = camera.canvas_size(64, 96)
        back, middle, front = torch.from_numpy(rng.random((3, 3, h, w), dtype=np.float32))
        rows = torch.arange(h, dtype=torch.float32)[:, None].expand(h, w)
        low, high = (rows > 0.4 * h).float(), (rows > 0.7 * h).float()
        layers = [Layer(back, 0.3), cut_out(middle, low, 0.6), cut_out(front, high, 1.0)]
        expected = torch.zeros(6, 3, 64, 96)
        for layer in layers:
            view = camera.at_depth(layer.depth)
            grid = view.grid((0, 64), (64, 96), (h, w))
            image = torch.cat((layer.image, torch.ones(1, h, w)))[:4]
            seen = torch.nn.functional.grid_sample(
                image[None].expand(6, -1, -1, -1), grid, padding_mode="border", align_corners=False
            )
            expected = expected * (1 - seen[:, 3:]) + seen[:, :3]
        torch.testing.assert_close(draw_layers(layers, camera, 64, 96), expected)


@pytest.mark.parametrize("kind", FIELDS)
def test_textures_are_pictures_without_pixel_noise(kind: str) -> None:
    """Neighbours differ less than a single-pixel checkerboard would: nothing can shimmer."""
    image, name = draw_texture(np.random.default_rng(1), 90, 130, kind=kind, scale=20.0)
    assert image.shape == (3, 90, 130)
    assert -0.01 <= float(image.min()) and float(image.max()) <= 1.01
    assert name
    checker = (-1.0) ** (torch.arange(90)[:, None] + torch.arange(130))
    assert abs(float((image * checker).mean())) < 0.003


def test_colours_and_articles() -> None:
    named = {
        (0.9, 0.1, 0.1): "red", (0.1, 0.7, 0.2): "green", (0.1, 0.2, 0.9): "blue",
        (0.5, 0.5, 0.5): "grey", (0.02, 0.02, 0.05): "black", (0.97, 0.97, 0.95): "white",
        (0.45, 0.28, 0.15): "brown", (0.05, 0.3, 0.08): "dark green",
    }  # fmt: skip
    assert {rgb: colour_name(np.array(rgb)) for rgb in named} == named
    assert article("orange disc") == "an orange disc"
    assert article("red disc") == "a red disc"


@pytest.mark.parametrize(
    ("num_frames", "height", "width", "found"),
    [(0, 64, 64, "0 frames of 64x64"), (4, 31, 64, "4 frames of 31x64")],
)
def test_scenes_that_cannot_be_drawn(num_frames: int, height: int, width: int, found: str) -> None:
    message = f"^a scene of {found} cannot be drawn; ask for at least 1 frame of at least 32x32"
    with pytest.raises(ValueError, match=message):
        render_scene(0, num_frames=num_frames, height=height, width=width)


@pytest.mark.parametrize("pace", [-0.1, 1.5])
def test_pace_out_of_range(pace: float) -> None:
    with pytest.raises(ValueError, match=f"^pace is {pace}; choose 0 \\(a still\\) to 1"):
        render_scene(0, pace=pace)
