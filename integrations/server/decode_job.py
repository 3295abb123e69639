"""What a fork does: one video to a file of views, or one `/compute` body to its videos."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import av
import numpy as np
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import save_file

from aigv_reward import VideoDecodeError, VideoReward
from aigv_reward.integrations.frameworks.flow_factory_remote import payload_videos, png_frame
from aigv_reward.integrations.server.refusals import ItemFailed, as_message, error_answer

# As for decoding itself: no playlist, nothing that opens another file.
FORMATS = (
    "mov,matroska,avi,gif,mpegts,mpeg,mpegvideo,m4v,flv,asf,ogg,ivf,h264,hevc,obu,nut,mxf,apng"
)


def run_job(
    reward: VideoReward, message: Mapping[str, Any], limits: Mapping[str, int]
) -> dict[str, Any]:
    """The answer to a message: {"done": ...} or {"error": {"type", "message"}}.

    Args:
        reward: prepares the views; its model may be without weights.
        message: `kind` ("file", "tensor", "png" or "split"), `path`, `out`, and what the kind
            needs: `offset`, `shape`, `fps`; `items` and `prompt`, the most videos and characters.
        limits: see `Forks`.
    """
    path = message["path"]
    try:
        return {"done": JOBS[message["kind"]](reward, message, limits)}
    except ItemFailed as error:
        return _error(error.kind, error.message, path)
    except VideoDecodeError as error:
        if "Cannot allocate memory" in error.reason:
            return _error("decode_limit", _memory(limits), path)
        return _error("decode_error", error.reason or str(error), path)
    except ValueError as error:
        return _error("invalid_item", str(error), path)
    except MemoryError:
        return _error("decode_limit", _memory(limits), path)
    except SafetensorError:
        return _error("server_error", "the server cannot write the views; free its disk", path)
    except OSError as error:
        return _error("decode_error", error.strerror or type(error).__name__, path)
    except RuntimeError as error:
        if "allocate memory" in str(error):
            return _error("decode_limit", _memory(limits), path)
        return _error("decode_error", f"decoding failed ({type(error).__name__})", path)


def _file(reward: VideoReward, message: Mapping[str, Any], limits: Mapping[str, int]) -> str:
    check_frame_size(message["path"], limits["frame_pixels"])
    return _save(reward.prepare(message["path"]), message["out"])


def _tensor(reward: VideoReward, message: Mapping[str, Any], limits: Mapping[str, int]) -> str:
    # Mapped, not read: only the frames that a view takes are ever in memory. The mapping is shared
    # with the file, or the kernel would count all of it as the decoder's memory.
    frames = np.memmap(
        message["path"],
        dtype=np.uint8,
        mode="r+",
        offset=message["offset"],
        shape=tuple(message["shape"]),
    )
    return _save(reward.prepare(frames, fps=message["fps"]), message["out"])


def _png(reward: VideoReward, message: Mapping[str, Any], limits: Mapping[str, int]) -> str:
    frames: list[Image.Image] = []
    pixels = 0

    def check(width: int, height: int) -> None:
        nonlocal pixels
        pixels += width * height
        check_pixels(width, height, pixels, limits)

    Image.MAX_IMAGE_PIXELS = None  # pillow's own limit, which does not know the server's
    with open(message["path"], encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            try:
                frames.append(png_frame(line.rstrip("\n"), f"frame {number}", check))
            except ValueError as error:
                raise ItemFailed("decode_error", str(error)) from error
    return _save(reward.prepare(frames, fps=message["fps"]), message["out"])


def _split(
    reward: VideoReward, message: Mapping[str, Any], limits: Mapping[str, int]
) -> dict[str, Any]:
    """Prompts, and a file a video with one base64 text a line."""
    try:
        with open(message["path"], "rb") as body:
            content = json.load(body)
    except (ValueError, RecursionError) as error:
        raise ItemFailed("invalid_json", "the body is not JSON") from error
    try:
        prompts, videos = payload_videos(content)
    except ValueError as error:
        raise ItemFailed("invalid_request", str(error)) from error
    if len(videos) > message["items"]:
        raise ItemFailed(
            "invalid_request",
            f"{len(videos)} videos, above the limit of {message['items']}; send fewer at once",
        )
    for index, prompt in enumerate(prompts):
        if len(prompt or "") > message["prompt"]:
            raise ItemFailed(
                "invalid_request",
                f"prompt {index} has {len(prompt or '')} characters, above the limit of "
                f"{message['prompt']}; shorten it",
            )
    paths = []
    for index, video in enumerate(videos):
        paths.append(os.path.join(message["out"], f"video{index}"))
        with open(paths[-1], "w", encoding="utf-8", errors="replace") as lines:
            lines.writelines("".join(frame.split()) + "\n" for frame in video)
    return {"prompts": prompts, "videos": paths}


JOBS = {"file": _file, "tensor": _tensor, "png": _png, "split": _split}


def check_frame_size(path: str, most: int) -> None:
    """Refuse a video whose header declares frames of more than `most` pixels, before any is read.

    Raises:
        ItemFailed: it does.
    """
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    try:
        with av.open(path, container_options=options, metadata_errors="replace") as container:
            sizes = [
                (s.codec_context.width, s.codec_context.height) for s in container.streams.video
            ]
    except av.error.FFmpegError as error:
        raise ItemFailed("decode_error", f"{error.strerror} (FFmpeg)") from error
    for width, height in sizes:
        check_pixels(width, height, 0, {"frame_pixels": most, "video_pixels": 0})


def check_pixels(width: int, height: int, total: int, limits: Mapping[str, int]) -> None:
    """Refuse frames that are too large, or too many.

    Raises:
        ItemFailed: they are.
    """
    if width * height > limits["frame_pixels"]:
        raise ItemFailed(
            "decode_limit",
            f"its frames are {width}x{height}, above the limit of {limits['frame_pixels']} pixels; "
            "scale it down",
        )
    if total > limits["video_pixels"]:
        raise ItemFailed(
            "decode_limit",
            f"its frames have {total} pixels in all, above the limit of {limits['video_pixels']}; "
            "send fewer or smaller ones",
        )


def _save(views: Any, path: str) -> str:
    """Write the views; what comes back tells which of them fit into one batch."""
    tensors = {name: tensor.contiguous() for name, tensor in vars(views).items()}
    save_file(tensors, path)
    return " ".join(f"{name}{tuple(tensor.shape[1:])}" for name, tensor in tensors.items())


def _memory(limits: Mapping[str, int]) -> str:
    return f"decoding needs more than {limits['decode_memory']} bytes of memory; scale it down"


def _error(kind: str, message: str, path: str) -> dict[str, Any]:
    return error_answer(kind, as_message(message.replace(path, "the video")))
