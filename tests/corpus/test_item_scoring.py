"""The bundled checkpoint on real and on broken files, in one process and through the command."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import struct
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from kill_runs import AIGV, kill_at_random, num_shards, start
from typer.testing import CliRunner

from aigv_reward import VideoReward
from aigv_reward.cli import app
from aigv_reward.corpus import Run, plan_corpus
from aigv_reward.corpus.inputs import find_corpus
from aigv_reward.corpus.item_scoring import ItemScorer, ScorerSettings
from aigv_reward.corpus.preparation import checkpoint_folder, settings_for, worker_settings
from aigv_reward.distortions import encode_mp4, render_scene


def with_edit_list(mp4: bytes) -> bytes:
    """The mp4 whose edit list hides its first two frames, as a cut without re-encoding does."""
    edited = bytearray(mp4)
    clock = edited.index(b"mdhd") + 16
    (ticks,) = struct.unpack_from(">I", edited, clock)
    entry = edited.index(b"elst") + 12
    duration, start = struct.unpack_from(">Ii", edited, entry)
    struct.pack_into(">Ii", edited, entry, duration - 250, start + 2 * ticks // 8)
    return bytes(edited)


def rotated(mp4: bytes) -> bytes:
    """The mp4 whose header asks players to turn it by 90 degrees."""
    turned = bytearray(mp4)
    matrix = (0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", turned, turned.index(b"tkhd") + 44, *matrix)
    return bytes(turned)


def with_a_flipped_bit() -> bytes:
    """An mp4 whose fifth frame says by one bit that it is not coded: decoders pass over it."""
    made = io.BytesIO()
    frames = render_scene(0, num_frames=6, height=48, width=64).frames
    encode_mp4(made, frames, 8.0, codec="mpeg4")
    flipped = bytearray(made.getvalue())
    with av.open(io.BytesIO(flipped)) as container:
        places = [p.pos for p in container.demux(video=0) if p.size and p.pos is not None]
    flipped[places[4] + 5] ^= 0x80  # vop_coded
    return bytes(flipped)


def audio_only() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.fixture
def broken(tmp_path: Path, mp4: bytes) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    one = io.BytesIO()
    encode_mp4(one, render_scene(1, num_frames=1, height=48, width=64).frames, 8.0)
    flipped = bytearray(mp4)
    place = flipped.index(b"mdat") + 4
    for offset in range(place + 40, len(flipped) - 8, 3):
        flipped[offset] ^= 0x55
    files = {
        "a_good.mp4": mp4,
        "b_empty.mp4": b"",
        "c_text.mp4": b"not a video\n" * 100,
        "d_cut.mp4": mp4[: len(mp4) * 2 // 3],
        "e_audio.mp4": audio_only(),
        "f_one_frame.mp4": one.getvalue(),
        "g_flipped.mp4": bytes(flipped),
        "h_same.mp4": mp4,
        "i_edit_list.mp4": with_edit_list(mp4),
        "j_rotated.mp4": rotated(mp4),
        "k_one_bit.mp4": with_a_flipped_bit(),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_broken_files_are_errors_and_others_have_scores(broken: Path) -> None:
    settings, facts = settings_for(None, "cpu", None, 1, True)
    scorer = ItemScorer(settings)
    items = find_corpus(str(broken)).items
    rows = dict(zip([item.name for item in items], scorer(items), strict=True))
    assert {name for name, row in rows.items() if row["status"] == "ok"} == {
        "a_good.mp4",
        "f_one_frame.mp4",
        "h_same.mp4",
        "i_edit_list.mp4",
        "j_rotated.mp4",
    }
    for name, row in rows.items():
        assert (row["status"] == "ok") == ("overall" in row), name
        assert len(row.get("content_sha256", "")) == (0 if name == "b_empty.mp4" else 64), name
    good = rows["a_good.mp4"]
    alike = ("a_good.mp4", "f_one_frame.mp4", "i_edit_list.mp4", "j_rotated.mp4")
    expected = VideoReward.from_pretrained().score([broken / name for name in alike]).rows()
    for name, scores in zip(alike, expected, strict=True):
        assert {d: rows[name][d] for d in scores} == pytest.approx(scores, rel=0, abs=1e-5), name
    assert [rows[name]["frames_decoded"] for name in alike] == [6, 1, 4, 6]
    assert len({rows[name]["overall"] for name in alike}) == len(alike)
    calibration = scorer.reward.model.config.calibration
    for name, known in (calibration or {}).items():
        assert good[f"{name}_z"] == (good[name] - known["mean"]) / known["std"]
    assert good["frames_declared"] == good["frames_decoded"] == 6
    assert good["duration"] == pytest.approx(6 / 8)
    assert good["content_sha256"] == rows["h_same.mp4"]["content_sha256"]
    assert rows["e_audio.mp4"]["error"] == "it has no video stream"
    lost = rows["k_one_bit.mp4"]
    assert (lost["error_type"], lost["frames_decoded"]) == ("FrameCountError", 5)
    assert lost["error"] == "5 of 6 frames decode; it is damaged"
    assert "path" not in rows["c_text.mp4"]["error"]
    assert facts["checkpoint"]["score_version"] == scorer.reward.model.config.score_version


def test_other_weights_are_another_plan(broken: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(checkpoint_folder(None), checkpoint)
    plan_corpus(broken, tmp_path / "run", checkpoint=checkpoint, device="cpu")
    with open(checkpoint / "model.safetensors", "r+b") as weights:
        weights.seek(-1, os.SEEK_END)
        last = weights.read()
        weights.seek(-1, os.SEEK_END)
        weights.write(bytes([last[0] ^ 1]))
    with pytest.raises(ValueError, match=r"was planned otherwise: checkpoint.sha256 was .* and is"):
        plan_corpus(broken, tmp_path / "run", checkpoint=checkpoint, device="cpu")


def test_a_missing_device_or_dimension_is_named() -> None:
    with pytest.raises(ValueError, match=r"device 'nowhere' cannot be used .*; try cpu"):
        settings_for(None, "nowhere", None, 1, True)
    with pytest.raises(ValueError, match="unknown dimension 'beauty'; this reward scores"):
        settings_for(None, "cpu", ["beauty"], 1, True)  # type: ignore[list-item]
    settings, _ = settings_for(None, "cpu", ["overall"], 1, True)
    assert 1 <= len(worker_settings(settings, "auto", 100)) <= (os.cpu_count() or 1)
    assert len(worker_settings(settings, 8, 3)) == 3


def test_a_worker_a_gpu_and_no_memory_of_it_besides(monkeypatch: pytest.MonkeyPatch) -> None:
    """With two GPUs pretended. A tensor made on one here would fail the test: there is none."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    settings, _ = settings_for(None, None, None, 1, True)

    def devices(settings: ScorerSettings, *asked: Any) -> list[str]:
        return [one.device for one in worker_settings(settings, *asked)]

    assert settings.device == "cuda"
    assert devices(settings, "auto", 100) == ["cuda:0", "cuda:1"]
    assert devices(settings, 3, 100) == ["cuda:0", "cuda:1", "cuda:0"]
    assert devices(settings, "auto", 1) == ["cuda:0"]
    second, _ = settings_for(None, "cuda:1", None, 1, True)
    assert devices(second, "auto", 100) == ["cuda:1"]
    with pytest.raises(ValueError, match="device 'cuda:99' cannot be used"):
        settings_for(None, "cuda:99", None, 1, True)


def test_the_command_goes_on_after_kill_9_and_ctrl_c(broken: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [*AIGV, "score", str(broken), "--out", str(run), "--format", "json"]
    draw = random.Random(1)
    one = [*command, "--workers", "1"]
    # While it loads, and after the first row; `python tests/corpus/kill_runs.py` kills more often.
    assert kill_at_random(one, run, draw, more=0, within=2.0) == 0
    kept = kill_at_random(one, run, draw, more=1, within=0.2)
    assert 0 < kept < 8
    first = start(one)
    deadline = time.monotonic() + 240
    while num_shards(run) <= kept and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(first.pid, signal.SIGINT)
    assert "of 11 rows; the same command goes on" in first.communicate()[1]
    assert first.returncode == 130
    end = CliRunner().invoke(app, one[len(AIGV) :])
    assert end.exit_code == 1
    assert "6 of 11 videos could not be scored" in end.stderr
    counts = {"ok": 5, "error": 6, "timeout": 0, "crash": 0}
    assert json.loads(end.stdout) == {"run": str(run), "total": 11, **counts}
    settings, _ = settings_for(None, "cpu", None, 1, True)
    alone = ItemScorer(settings)
    rows = Run(run).finished().to_pylist()
    for item, row in zip(find_corpus(str(broken)).items, rows, strict=True):
        (expected,) = alone([item])
        assert {name: row[name] for name in expected} == expected
