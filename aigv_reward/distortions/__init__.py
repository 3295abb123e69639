"""Procedural clips and degradations of known severity: training data, audits and tests."""

from aigv_reward.distortions.codec import codec_noise, encode_mp4
from aigv_reward.distortions.scenes import Scene, render_scene
from aigv_reward.distortions.suite import DISTORTIONS, SEVERITIES, Distortion, distort

__all__ = [
    "DISTORTIONS",
    "SEVERITIES",
    "Distortion",
    "Scene",
    "codec_noise",
    "distort",
    "encode_mp4",
    "render_scene",
]
