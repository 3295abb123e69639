import io
from pathlib import Path

import av
import pytest
import torch
from torch import Tensor

from aigv_reward.distortions import codec_noise, encode_mp4
from aigv_reward.distortions.codec import CODECS, MP4_CODECS, PRESETS, round_trip
from aigv_reward.distortions.technical import CODEC_LADDERS


def psnr(a: Tensor, b: Tensor) -> float:
    return float(10 * torch.log10(255**2 / (a.float() - b.float()).square().mean()))


@pytest.mark.parametrize("codec", CODECS)
def test_each_codec_keeps_the_frames_in_order_and_grades_them(clip: Tensor, codec: str) -> None:
    steps = [round_trip(clip, codec=codec, quality=q) for q in CODEC_LADDERS[codec]]
    quality = [psnr(step, clip) for step in steps]
    assert quality == sorted(set(quality), reverse=True)
    assert quality[0] > 26
    assert quality[0] - quality[-1] > 3
    for t in (4, 12, 20):
        fits = [psnr(steps[0][t], clip[s]) for s in range(t - 2, t + 3)]
        assert max(fits) == fits[2]


@pytest.mark.parametrize("codec", CODECS)
def test_equal_settings_give_equal_frames(clip: Tensor, codec: str) -> None:
    quality = CODEC_LADDERS[codec][1]
    first, again = (round_trip(clip, codec=codec, quality=quality) for _ in range(2))
    assert torch.equal(first, again)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_gives_equal_frames_each_time(clip: Tensor, preset: str) -> None:
    first, *others = (
        round_trip(clip, codec="libx264", quality=20, preset=preset) for _ in range(4)
    )
    assert all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("codec", MP4_CODECS)
def test_files_are_reproducible_and_say_their_rate(
    clip: Tensor, codec: str, tmp_path: Path
) -> None:
    path, buffer = tmp_path / "clip.mp4", io.BytesIO()
    encode_mp4(path, clip, 12.5, codec=codec, crf=20)
    encode_mp4(buffer, clip, 12.5, codec=codec, crf=20)
    assert path.read_bytes() == buffer.getvalue()
    with av.open(str(path), "r") as container:
        stream = container.streams.video[0]
        assert float(stream.average_rate or 0) == pytest.approx(12.5)
        assert sum(1 for _ in container.decode(stream)) == len(clip)


def test_odd_sides_survive_a_round_trip(clip: Tensor) -> None:
    odd = clip[:4, :, :47, :61]
    for codec in CODECS:
        assert round_trip(odd, codec=codec, quality=CODEC_LADDERS[codec][0]).shape == odd.shape


def test_codec_noise_is_slight_and_varies(clip: Tensor) -> None:
    seen = [codec_noise(clip, generator=torch.Generator().manual_seed(s)) for s in range(5)]
    again = codec_noise(clip, generator=torch.Generator().manual_seed(0))
    assert torch.equal(seen[0], again)
    assert all(psnr(frames, clip) > 31 for frames in seen)
    assert any(not torch.equal(seen[0], other) for other in seen[1:])


def test_unknown_codec(clip: Tensor) -> None:
    message = f"^unknown codec 'h264'; choose one of {', '.join(MP4_CODECS)}$"
    with pytest.raises(ValueError, match=message):
        encode_mp4(io.BytesIO(), clip, 16, codec="h264")


def test_rate_not_above_0(clip: Tensor) -> None:
    with pytest.raises(ValueError, match=r"^fps is 0; pass a number above 0$"):
        encode_mp4(io.BytesIO(), clip, 0)


def test_frames_of_another_kind() -> None:
    message = r"^frames are torch.float32 \(2, 3, 8, 8\); pass uint8 \(T, 3, H, W\), T >= 1$"
    with pytest.raises(ValueError, match=message):
        encode_mp4(io.BytesIO(), torch.zeros(2, 3, 8, 8), 16)


@pytest.mark.parametrize(("height", "width"), [(34, 48), (64, 60)])
def test_sides_at_which_x265_corrupts_memory_are_refused(height: int, width: int) -> None:
    frames = torch.zeros(2, 3, height, width, dtype=torch.uint8)
    with pytest.raises(ValueError, match=f"libx265 corrupts memory at {width}x{height}; give"):
        encode_mp4(io.BytesIO(), frames, 8.0, codec="libx265")
    assert round_trip(frames, codec="libx265", quality=30).shape == frames.shape
