"""Views of a video: pure, differentiable tensor functions from frames to what encoders read."""

from aigv_reward.views.assemble import Views, build_views
from aigv_reward.views.fragments import centre_offsets, random_offsets, sample_fragments
from aigv_reward.views.resize import Interpolation, enlarge_to, enlarged_size, normalize, resize
from aigv_reward.views.sampling import FramePlan, ViewSampling, frame_plan

__all__ = [
    "FramePlan",
    "Interpolation",
    "ViewSampling",
    "Views",
    "build_views",
    "centre_offsets",
    "enlarge_to",
    "enlarged_size",
    "frame_plan",
    "normalize",
    "random_offsets",
    "resize",
    "sample_fragments",
]
