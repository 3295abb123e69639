"""Small folders laid out as the benchmarks' authors ship them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from aigv_reward.evaluation.benchmarks import (
    read_q_eval_video,
    read_t2vqa_db,
    read_video_feedback,
    read_video_gen_reward_bench,
)
from aigv_reward.training.opinions import Opinion, Preference


def touch(folder: Path, *names: str) -> None:
    """Files that stand for videos: a list is read without opening them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


T2VQA = "0001.mp4|a cat | dog chimera surfs|61.5\n0002.mp4|a red bench.|28.25\n"


@pytest.mark.parametrize("inside", ["", "T2VQA-DB/"])
def test_t2vqa_db(tmp_path: Path, inside: str) -> None:
    """The videos lie beside info.txt, or in a folder of their own."""
    touch(tmp_path, f"{inside}0001.mp4", f"{inside}0002.mp4")
    (tmp_path / "info.txt").write_text(T2VQA)
    assert read_t2vqa_db(tmp_path) == [
        Opinion(tmp_path / f"{inside}0001.mp4", "a cat | dog chimera surfs", {"overall": 61.5}),
        Opinion(tmp_path / f"{inside}0002.mp4", "a red bench.", {"overall": 28.25}),
    ]


def test_a_video_that_is_missing_stays_on_the_list(tmp_path: Path) -> None:
    touch(tmp_path, "0001.mp4")
    (tmp_path / "info.txt").write_text(T2VQA)
    assert read_t2vqa_db(tmp_path)[1].path == tmp_path / "0002.mp4"


def test_a_name_that_stands_twice_is_taken_where_the_list_says(tmp_path: Path) -> None:
    touch(tmp_path, "0001.mp4", "old/0001.mp4", "x/0002.mp4", "y/0002.mp4")
    (tmp_path / "info.txt").write_text(T2VQA)
    assert [one.path for one in read_t2vqa_db(tmp_path)] == [
        tmp_path / "0001.mp4",
        tmp_path / "0002.mp4",
    ]


Q_EVAL = [
    {"video": "1.mp4", "prompt": "3D animation style, an emu is running.", "gt_score": 7 / 3},
    {"video": "2.mp4", "prompt": "", "gt_score": 2},
]


def test_q_eval_video_as_json(tmp_path: Path) -> None:
    """The challenge's layout: train.json with scores, val.json without, a folder of videos each."""
    touch(tmp_path, "train/1.mp4", "train/2.mp4", "val/3.mp4")
    (tmp_path / "train.json").write_text(json.dumps(Q_EVAL))
    (tmp_path / "val.json").write_text(json.dumps([{"video": "3.mp4", "prompt": "x"}]))
    expected = [
        Opinion(
            tmp_path / "train/1.mp4", "3D animation style, an emu is running.", {"overall": 7 / 3}
        ),
        Opinion(tmp_path / "train/2.mp4", None, {"overall": 2.0}),
    ]
    assert read_q_eval_video(tmp_path) == expected
    assert read_q_eval_video(tmp_path / "train.json") == expected
    with pytest.raises(ValueError, match=r"val\.json' entry 0 has no gt_score; Q-Eval-Video's au"):
        read_q_eval_video(tmp_path / "val.json")


def test_q_eval_video_as_lines(tmp_path: Path) -> None:
    touch(tmp_path, "1.mp4", "2.mp4")
    (tmp_path / "train_data.txt").write_text("1.mp4|an emu|2.3333333333333335\n2.mp4|x|1.5\n")
    assert read_q_eval_video(tmp_path) == [
        Opinion(tmp_path / "1.mp4", "an emu", {"overall": 2.3333333333333335}),
        Opinion(tmp_path / "2.mp4", "x", {"overall": 1.5}),
    ]


def feedback_row(identifier: str, *ratings: int) -> dict[str, Any]:
    aspects = (
        "visual quality",
        "temporal consistency",
        "dynamic degree",
        "text-to-video alignment",
        "factual consistency",
    )
    return {
        "id": identifier,
        "images": [f"{identifier}_00.jpg", f"{identifier}_01.jpg"],
        "text prompt": f"prompt of {identifier}",
        "video link": f"https://host/{identifier}.mp4",
        **dict(zip(aspects, ratings, strict=True)),
        "conversations": [{"from": "human", "value": "..."}],
    }


def write_parquet(folder: Path, subset: str, split: str, rows: list[dict[str, Any]]) -> None:
    (folder / subset).mkdir(exist_ok=True)
    Dataset.from_list(rows).to_parquet(folder / subset / f"{split}-00000-of-00001.parquet")


def test_video_feedback(tmp_path: Path) -> None:
    """The hub's layout: annotated/ and real/ with a parquet a split, videos in trees by id."""
    write_parquet(
        tmp_path,
        "annotated",
        "test",
        [feedback_row("p000304", 3, 2, 4, 1, 4), feedback_row("6000131", 1, 1, 2, 3, 2)],
    )
    write_parquet(tmp_path, "annotated", "train", [feedback_row("p000001", 4, 4, 4, 4, 4)])
    write_parquet(tmp_path, "real", "test", [feedback_row("r000007", 4, 4, 4, 4, 4)])
    touch(
        tmp_path,
        "annotated/videos_annotated_test/p000304.mp4",
        "mirror/6/6000131.mp4",
        "real/r000007.mp4",
        "annotated/frames_annotated_test/p000304/p000304_00.jpg",
    )
    assert read_video_feedback(tmp_path) == [
        Opinion(
            tmp_path / "annotated/videos_annotated_test/p000304.mp4",
            "prompt of p000304",
            {"technical": 3.0, "motion": 2.0, "semantic": 1.0},
        ),
        Opinion(
            tmp_path / "mirror/6/6000131.mp4",
            "prompt of 6000131",
            {"technical": 1.0, "motion": 1.0, "semantic": 3.0},
        ),
        Opinion(
            tmp_path / "real/r000007.mp4",
            "prompt of r000007",
            {"technical": 4.0, "motion": 4.0, "semantic": 4.0},
        ),
    ]
    train = read_video_feedback(tmp_path, split="train")
    assert [one.path for one in train] == [tmp_path / "p000001.mp4"]


REWARD_BENCH = """\
path_A,path_B,A_model,B_model,prompt,VQ,MQ,TA,Overall,fps_A,num_frames_A,fps_B,num_frames_B
videos/kling1.5/kling1.5_00103.mp4,videos/minimax/minimax_00103.mp4,kling1.5,minimax,\
"Static camera, a metal ball rolls.",A,same,B,A,30,153,25,141
"""


def test_video_gen_reward_bench(tmp_path: Path) -> None:
    first, second = "videos/kling1.5/kling1.5_00103.mp4", "videos/minimax/minimax_00103.mp4"
    touch(tmp_path, first, second)
    (tmp_path / "videogen-rewardbench.csv").write_text(REWARD_BENCH)
    assert read_video_gen_reward_bench(tmp_path) == [
        Preference(
            tmp_path / first,
            tmp_path / second,
            "Static camera, a metal ball rolls.",
            {"technical": "A", "motion": "same", "semantic": "B", "overall": "A"},
            "kling1.5",
            "minimax",
        )
    ]


Reader = Callable[[Path], Any]


@pytest.mark.parametrize(
    ("reader", "message"),
    [
        (read_t2vqa_db, r"holds no info\.txt; give the folder that the benchmark's archive"),
        (read_q_eval_video, r"holds 0 lists that may be Q-Eval-Video's \(no \.json, no \.txt\)"),
        (read_video_feedback, r"holds no annotated/test-\*\.parquet and no real/test-\*\.parquet"),
        (read_video_gen_reward_bench, r"holds no videogen-rewardbench\.csv; give the folder"),
    ],
)
def test_another_folder_is_refused(tmp_path: Path, reader: Reader, message: str) -> None:
    touch(tmp_path, "a.mp4")
    with pytest.raises(ValueError, match=message):
        reader(tmp_path)


@pytest.mark.parametrize(
    ("reader", "name", "text"),
    [
        (read_t2vqa_db, "info.txt", T2VQA),
        (read_q_eval_video, "train.json", json.dumps(Q_EVAL)),
        (read_video_gen_reward_bench, "videogen-rewardbench.csv", REWARD_BENCH),
    ],
)
def test_a_folder_without_videos_is_refused(
    tmp_path: Path, reader: Reader, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=r"holds no \.mp4; unpack the benchmark's videos into it"):
        reader(tmp_path)


def test_several_lists_have_to_be_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "1.mp4", "train_quality.json", "train_alignment.json", "val.json")
    with pytest.raises(
        ValueError, match=r"2 lists .* \(train_alignment\.json, train_quality\.json\); name the li"
    ):
        read_q_eval_video(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"train\.json' is no JSON \(Expecting"),
        ("[]", r"train\.json' is no JSON list of videos"),
        ("[3]", r"entry 0 is a JSON int; it must be an object"),
        ('[{"gt_score": 1, "prompt": "x"}]', "entry 0 has no video; there are gt_score, prompt"),
        ('[{"gt_score": 1, "prompt": "x", "video": 7}]', "entry 0: video is 7, not a file name"),
        ('[{"gt_score": "1", "prompt": "x", "video": "1.mp4"}]', "gt_score is '1', not a finite"),
        ('[{"gt_score": NaN, "prompt": "x", "video": "1.mp4"}]', "gt_score is nan, not a finite"),
        (json.dumps([Q_EVAL[0], Q_EVAL[0]]), "entry 1: '1.mp4' stands twice; keep one"),
    ],
)
def test_a_malformed_q_eval_list_is_refused(tmp_path: Path, text: str, message: str) -> None:
    touch(tmp_path, "1.mp4")
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_q_eval_video(tmp_path)


def test_a_feedback_row_without_a_rating_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    row = feedback_row("a", 1, 2, 3, 4, 1)
    del row["visual quality"]
    write_parquet(tmp_path, "annotated", "test", [row])
    with pytest.raises(ValueError, match=r"row 0 has no visual quality; there are id, images, te"):
        read_video_feedback(tmp_path)
