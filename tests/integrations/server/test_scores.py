"""Served scores are the library's, through every encoding."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save

from aigv_reward import Video, VideoReward
from aigv_reward.integrations.rewards import scores_of
from aigv_reward.integrations.server import AsyncRemoteReward, RemoteReward

TENSORS = "application/vnd.aigv.safetensors"
PROMPTS = ["a city", None, "books in a library"]


def test_files_in_a_multipart_body(
    server: Any, clips: dict[str, Path], offline: Any, reward: VideoReward
) -> None:
    items = [
        {"id": f"the {name}", "file": name, "prompt": prompt}
        for name, prompt in zip(clips, PROMPTS, strict=True)
    ]
    items.insert(1, {"id": "not a video", "file": "text"})
    files = {name: path.read_bytes() for name, path in clips.items()}
    with server.client() as client:
        response = client.post(
            "/v1/score",
            data={"request": json.dumps({"items": items})},
            files={**files, "text": b"not a video"},
        )
    assert response.status_code == 200
    content = response.json()
    assert content["dimensions"] == ["technical", "motion", "semantic", "overall"]
    assert content["score_version"] == reward.model.config.score_version
    results = content["results"]
    assert [result["id"] for result in results] == [item["id"] for item in items]
    failed = results.pop(1)
    assert failed["error"]["type"] == "decode_error"
    assert "Invalid data" in failed["error"]["message"]
    expected = offline(list(clips.values()), PROMPTS)
    assert [result["scores"] for result in results] == expected  # to the last bit


def test_frames_in_a_safetensors_body(server: Any, videos: dict[str, Video], offline: Any) -> None:
    items = [
        {"id": name, "tensor": name, "fps": video.fps, "prompt": prompt}
        for (name, video), prompt in zip(videos.items(), PROMPTS, strict=True)
    ]
    tensors = {n: v.frames.permute(0, 2, 3, 1).contiguous() for n, v in videos.items()}
    body = save(tensors, metadata={"aigv_reward": json.dumps({"items": items})})
    with server.client() as client:
        response = client.post("/v1/score", content=body, headers={"content-type": TENSORS})
    assert response.status_code == 200
    results = response.json()["results"]
    assert [result["scores"] for result in results] == offline(list(videos.values()), PROMPTS)


def test_files_by_path(server: Any, clips: dict[str, Path], offline: Any) -> None:
    path = clips["city_clean"]
    asked = {
        "items": [{"path": path.name}, {"path": str(path)}, {"path": "none.mp4"}],
        "dimensions": ["motion", "technical", "motion"],
    }
    with server.client() as client:
        content = client.post("/v1/score", json=asked).json()
    assert content["dimensions"] == ["motion", "technical"]
    (expected,) = offline([path], dimensions=["motion", "technical"])
    first, same, missing = content["results"]
    assert (first["id"], same["id"]) == ("0", "1")
    assert first["scores"] == same["scores"] == expected
    assert missing == {
        "id": "2",
        "error": {
            "type": "not_found",
            "message": "there is no such file under the allowed folder",
        },
    }


def png(frame: Any) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(frame)).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_flow_factory(server: Any, videos: dict[str, Video], offline: Any) -> None:
    chosen = [videos["city_clean"], videos["city_noise"]]
    payload = {
        "prompt": ["a city", ""],
        "image": None,
        "video": [[png(frame.permute(1, 2, 0)) for frame in video.frames] for video in chosen],
        "condition_images": None,
        "kwargs": None,
    }
    with server.client() as client:
        assert client.get("/health").status_code == 200
        # Its client is given the token as part of the server's address.
        url = server.url.replace("http://", f"http://any:{server.token}@")
        del client.headers["authorization"]
        response = client.post(f"{url}/compute", json=payload)
        assert response.status_code == 200
        payload["video"][1][3] = base64.b64encode(b"no picture").decode()
        refused = client.post(f"{url}/compute", json=payload)
    expected = offline(
        [v.frames for v in chosen], ["a city", None], fps=16.0, dimensions=["overall"]
    )
    assert response.json() == {"rewards": [row["overall"] for row in expected]}
    assert refused.status_code == 422
    assert refused.json()["error"] == {
        "type": "decode_error",
        "message": "video 1: frame 3 is not a PNG in base64: the bytes are no PNG",
    }


def batch(videos: dict[str, Video]) -> torch.Tensor:
    return torch.stack([video.frames for video in videos.values()])


@pytest.mark.parametrize("most", [{}, {"most_videos": 2}, {"most_bytes": 1_000_000}])
def test_the_client_is_a_reward(
    server: Any, videos: dict[str, Video], offline: Any, most: dict[str, int]
) -> None:
    frames = batch(videos)
    with RemoteReward(server.url, token=server.token, **most) as remote:
        found = scores_of(remote, frames, PROMPTS, fps=16.0)
    expected = offline(list(frames), PROMPTS, fps=16.0)
    assert list(found.values) == ["technical", "motion", "semantic", "overall"]
    assert torch.equal(found.total, found.values["overall"])
    for name, column in found.values.items():
        assert column.tolist() == [row[name] for row in expected]


def test_float_frames_are_rounded_to_grey_levels(
    server: Any, videos: dict[str, Video], offline: Any
) -> None:
    frames = batch(videos)[:1].float() / 255
    (expected,) = offline([batch(videos)[0]], fps=16.0, dimensions=["motion"])
    with RemoteReward(server.url, token=server.token, dimensions=["motion"]) as remote:
        found = remote(frames + 0.001, None, fps=torch.tensor([16.0]))
    assert {name: column.tolist() for name, column in found.items()} == {
        "motion": [expected["motion"]]
    }


def test_the_async_client(
    server: Any, clips: dict[str, Path], videos: dict[str, Video], offline: Any
) -> None:
    async def ask() -> Any:
        async with AsyncRemoteReward(server.url, token=server.token) as remote:
            return await asyncio.gather(
                remote(batch(videos)[:1], ["a city"], fps=16.0),
                remote.score([str(clips["city_noise"]), clips["library_blur"].read_bytes()]),
                remote.info(),
            )

    frames, files, info = asyncio.run(ask())
    (expected,) = offline([batch(videos)[0]], ["a city"], fps=16.0)
    assert {name: column.item() for name, column in frames.items()} == expected
    assert files.rows() == offline([clips["city_noise"], clips["library_blur"]])
    assert files.trained == ("technical", "motion", "semantic", "overall")
    assert info["checkpoint"] == "lite"
    assert info["weights"] == {"overall": 1.0}
    assert "config" not in info


def test_a_video_without_a_score_raises(server: Any, videos: dict[str, Video]) -> None:
    with RemoteReward(server.url, token=server.token) as remote:
        good = videos["city_clean"].frames
        with pytest.raises(ValueError, match=r"videos\[1\]: .*\(decode_error\)"):
            remote.score([good, b"nothing"], fps=16.0)
        with pytest.raises(ValueError, match=r"refuses the request \(422\): unknown dimension 'x'"):
            remote.score([good], fps=16.0, dimensions=["x"])


def test_a_reward_must_be_offline_for_gradients(server: Any) -> None:
    frames = torch.rand(1, 4, 3, 32, 32, requires_grad=True)
    with (
        RemoteReward(server.url, token=server.token) as remote,
        pytest.raises(ValueError, match="a remote reward has none; detach them"),
    ):
        remote(frames, fps=16.0)
