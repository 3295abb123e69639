"""Reading videos, and choosing which of their frames a view takes."""

from aigv_reward.video.indices import FrameSampling
from aigv_reward.video.reading import read_frames, read_video
from aigv_reward.video.source import VideoSource
from aigv_reward.video.video import SampledFrames, Video, VideoDecodeError

__all__ = [
    "FrameSampling",
    "SampledFrames",
    "Video",
    "VideoDecodeError",
    "VideoSource",
    "read_frames",
    "read_video",
]
