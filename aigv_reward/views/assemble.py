"""The three views that the encoders read, made from the frames of a plan."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aigv_reward.views.fragments import centre_offsets, random_offsets, sample_fragments
from aigv_reward.views.resize import check_frames, enlarge_to, normalize, resize
from aigv_reward.views.sampling import FramePlan, ViewSampling


@dataclass(frozen=True)
class Views:
    """What the encoders read, normalised.

    Attributes:
        key_frames: (B, N, 3, S, S), for the semantic tower.
        fragments: (B, M, 3, G*P, G*P), for the technical encoder.
        fast: (B, F, 3, R, R), for the motion pathway.
    """

    key_frames: Tensor
    fragments: Tensor
    fast: Tensor

    def __len__(self) -> int:
        """B, the number of videos."""
        return len(self.key_frames)

    def __getitem__(self, index: int) -> "Views":
        """The views of one video, still a batch, of one."""
        if not 0 <= index < len(self):
            raise IndexError(f"view {index} of a batch of {len(self)}")
        one = slice(index, index + 1)
        return Views(self.key_frames[one], self.fragments[one], self.fast[one])

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> "Views":
        """The views on another device, in another precision, or both."""
        parts = (self.key_frames, self.fragments, self.fast)
        return Views(*(part.to(device=device, dtype=dtype) for part in parts))

    @staticmethod
    def cat(views: Sequence["Views"]) -> "Views":
        """The views of several batches as one batch; the videos may differ in length and size.

        Raises:
            ValueError: there are no views.
        """
        if not views:
            raise ValueError("no views to join; give at least one")
        if len(views) == 1:
            return views[0]
        return Views(
            torch.cat([v.key_frames for v in views]),
            torch.cat([v.fragments for v in views]),
            torch.cat([v.fast for v in views]),
        )


def build_views(
    frames: Tensor,
    plan: FramePlan,
    sampling: ViewSampling,
    *,
    available: Tensor | None = None,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
) -> Views:
    """The three views of videos that share a plan.

    Only the plan's frames are resized, each once for all views of the same size; bytes stay
    bytes until they are normalised.

    Args:
        frames: (B, T, 3, H, W), uint8 in 0..255 or floating point in [0, 1].
        plan: the source frames that each view takes, the same for all videos of the batch.
        sampling: the configuration that the plan was made from.
        available: (T,) int64, sorted and unique: the source numbers of `frames` when only some
            were decoded; None: `frames` are whole videos.
        generator: draws the patch offsets, for each video its own; None: the cells' centres.
        dtype: of the views.

    Returns:
        The views on the device of `frames`, differentiable in floating-point frames.

    Raises:
        ValueError: `frames` are not as described, lack a frame of the plan, or are so far from
            square that `enlarge_to` refuses them.
    """
    check_frames(frames)
    if frames.ndim != 5:
        raise ValueError(f"frames have shape {tuple(frames.shape)}; expected (B, T, 3, H, W)")
    if available is None:
        available = torch.arange(frames.shape[1])
    elif len(available) != frames.shape[1]:
        raise ValueError(
            f"available names {len(available)} source frames and frames hold {frames.shape[1]}; "
            "give the indices that came with the frames"
        )
    key_times, fragment_times, fast_times = (
        _positions(wanted, available) for wanted in (plan.key_frames, plan.fragments, plan.fast)
    )
    if sampling.key_size == sampling.fast_size:
        both = torch.cat([key_times, fast_times])
        resized = _resized_clip(frames, both, sampling.key_size, sampling)
        key_frames, fast = resized.split([len(key_times), len(fast_times)], dim=1)
    else:
        key_frames = _resized_clip(frames, key_times, sampling.key_size, sampling)
        fast = _resized_clip(frames, fast_times, sampling.fast_size, sampling)
    parts = (key_frames, _fragments(frames, fragment_times, sampling, generator), fast)
    return Views(*(normalize(p, mean=sampling.mean, std=sampling.std, dtype=dtype) for p in parts))


def _resized_clip(frames: Tensor, times: Tensor, side: int, sampling: ViewSampling) -> Tensor:
    """(B, len(times), 3, side, side); a frame that `times` repeats is resized once.

    One by one, which copies none of the large ones; of bytes on a CPU those of each video, which
    have the quick kernel.
    """
    if frames.shape[-2:] == (side, side):
        return _take(frames, times)
    unique, inverse = times.unique(return_inverse=True)
    whole = frames.unbind(1)
    apart = frames.dtype == torch.uint8 and frames.device.type == "cpu"
    small = []
    for time in unique.tolist():
        videos = whole[time].split(1 if apart else len(frames))
        made = [resize(v, (side, side), interpolation=sampling.interpolation) for v in videos]
        small.append(torch.cat(made) if apart else made[0])
    return torch.stack([small[place] for place in inverse.tolist()], dim=1)


def _fragments(
    frames: Tensor, times: Tensor, sampling: ViewSampling, generator: torch.Generator | None
) -> Tensor:
    grid, patch = sampling.grid, sampling.patch
    if min(frames.shape[-2:]) < grid * patch:
        unique, times = times.unique(return_inverse=True)
        frames = enlarge_to(_take(frames, unique), grid * patch)
    height, width = frames.shape[-2:]
    if generator is None:
        offsets = centre_offsets(height, width, grid=grid, size=patch)
    else:
        offsets = random_offsets(
            height,
            width,
            grid=grid,
            size=patch,
            batch=frames.shape[0],
            segments=1,
            generator=generator,
        )
    return sample_fragments(frames, offsets, size=patch, times=times)


def _positions(wanted: Tensor, available: Tensor) -> Tensor:
    """Where in `available` each source frame of a view stands."""
    wanted, available = wanted.cpu(), available.cpu()
    found = torch.searchsorted(available, wanted).clamp_(max=len(available) - 1)
    lacking = wanted[available[found] != wanted]
    if len(lacking):
        raise ValueError(
            f"the plan takes frames {lacking.unique().tolist()}, which are not among the "
            f"{len(available)} given; plan for the number of frames of this video, or decode "
            "plan.union()"
        )
    return found


def _take(frames: Tensor, times: Tensor) -> Tensor:
    """Frames at `times`: a view of the memory where they are evenly spaced, else a copy."""
    steps = times.diff().unique().tolist()
    if not steps or (len(steps) == 1 and steps[0] > 0):
        first, last = int(times[0]), int(times[-1])
        return frames[:, first : last + 1 : steps[0] if steps else 1]
    times = times.to(frames.device)
    if frames.stride(2) == 1:  # a copy of channels-last memory is channels-last too
        return frames.movedim(2, -1).index_select(1, times).movedim(-1, 2)
    return frames.index_select(1, times)
