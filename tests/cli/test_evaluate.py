from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from aigv_reward import VideoReward
from aigv_reward.cli.errors import CommandGroup
from aigv_reward.cli.evaluate import evaluate
from aigv_reward.cli.score import score
from aigv_reward.distortions import encode_mp4, render_scene
from aigv_reward.evaluation import correlation
from aigv_reward.evaluation.pair_accuracy import accuracy_with_ties, accuracy_without_ties

Run = Callable[..., Result]

MOS = (1.5, 4.0, 2.0, 3.5, 3.0, 2.5)
MAKERS = ("sora", "wan", "sora", "wan", "sora", "kling")


def application() -> typer.Typer:
    app = typer.Typer(cls=CommandGroup, pretty_exceptions_enable=False)
    app.command()(evaluate)
    app.command()(score)
    return app


@pytest.fixture(scope="session")
def scenes() -> list[bytes]:
    """Six short clips as mp4."""
    files = []
    for seed in range(6):
        buffer = io.BytesIO()
        encode_mp4(buffer, render_scene(seed, num_frames=5, height=32, width=48).frames, 8.0)
        files.append(buffer.getvalue())
    return files


@pytest.fixture
def folder(tmp_path: Path, scenes: list[bytes]) -> Path:
    """clips/0.mp4 to 5.mp4, and mos.csv with their overall and motion scores."""
    (tmp_path / "clips").mkdir()
    with open(tmp_path / "mos.csv", "w", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["path", "prompt", "generator", "motion", "overall"])
        for i, data in enumerate(scenes):
            (tmp_path / f"clips/{i}.mp4").write_bytes(data)
            rows.writerow([f"clips/{i}.mp4", f"scene, {i}", MAKERS[i], 5 - MOS[i], MOS[i]])
    return tmp_path


@pytest.fixture
def run(checkpoint: Path, folder: Path) -> Run:
    """Evaluates into folder/out with few resamples, with the tiny checkpoint unless told not to."""

    def invoke(
        source: object, *args: object, tiny: bool = True, command: str = "evaluate"
    ) -> Result:
        chosen = ["--checkpoint", str(checkpoint)] if tiny else []
        if command == "evaluate" and "--out" not in args:
            chosen += ["--out", str(folder / "out")]
        if command == "evaluate" and "--resamples" not in args:
            chosen += ["--resamples", "10"]
        return CliRunner().invoke(
            application(), [command, str(source), *map(str, args), *chosen], catch_exceptions=False
        )

    return invoke


def results(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "out/results.json").read_text())
    return record


def rows(folder: Path, out: str = "out") -> list[dict[str, str]]:
    with open(folder / out / "scores.csv", newline="") as opened:
        return list(csv.DictReader(opened))


def error(result: Result) -> str:
    assert result.exit_code in (1, 2)
    assert result.stdout == ""
    return result.stderr.strip().removeprefix("aigv-reward: error: ")


def test_figures_are_those_of_the_library(run: Run, folder: Path, checkpoint: Path) -> None:
    result = run(folder / "mos.csv")
    assert (result.exit_code, result.stderr) == (0, "")
    reward = VideoReward.from_pretrained(checkpoint)
    paths = [folder / f"clips/{i}.mp4" for i in range(6)]
    with torch.no_grad():
        scored = reward.score(paths, [f"scene, {i}" for i in range(6)])
    record = results(folder)
    assert list(record["dimensions"]) == ["motion", "overall"]
    overall = record["dimensions"]["overall"]
    expected = correlation.srcc(scored.overall, MOS)
    assert overall["srcc"]["value"] == pytest.approx(expected, abs=1e-12)
    assert overall["plcc"]["value"] == pytest.approx(
        correlation.plcc(scored.overall, MOS), abs=1e-3
    )
    assert overall["count"] == 6
    assert overall["generators"]["sora"]["srcc"]["reason"] == "3 videos; a figure needs 5 or more"
    assert overall["systems"]["count"] == 3
    assert record["untrained"] == ["motion"]
    assert record["bootstrap"]["resamples"] == 10
    assert record["list"] == str(folder / "mos.csv")
    assert record["checkpoint"] == str(checkpoint)
    written = rows(folder)
    assert [row["video"] for row in written] == [str(path) for path in paths]
    for row, value, mos, maker in zip(written, scored.overall, MOS, MAKERS, strict=True):
        assert float(row["overall"]) == pytest.approx(float(value), abs=2e-5)
        assert float(row["mos_overall"]) == mos
        assert (row["generator"], row["untrained"], row["error"]) == (maker, "motion", "")


def test_the_table_the_picture_and_the_page(run: Run, folder: Path) -> None:
    out = run(folder / "mos.csv").stdout
    value = results(folder)["dimensions"]["overall"]["krcc"]["value"]
    for said in (
        "motion*",
        "overall",
        "SRCC",
        "PLCC, logistic",
        f"{value:.3f}",
        "sora",
        "videos",
        "means of generators",
        "Intervals span 95 % of 10 bootstrap resamples of videos",
        "* not trained in this checkpoint: motion",
        f"wrote {folder / 'out/index.html'}",
    ):
        assert said in out
    assert max(map(len, out.split("wrote")[0].splitlines())) <= 80
    assert Image.open(folder / "out/scatter.png").format == "PNG"
    page = (folder / "out/index.html").read_text()
    assert f"{value:.3f}" in page
    assert "data:image/png;base64," in page


def test_a_failed_file_is_reported_and_left_out(run: Run, folder: Path) -> None:
    (folder / "clips/0.mp4").write_bytes(b"")
    result = run(folder / "mos.csv")
    assert result.exit_code == 1
    assert result.stderr == (
        f"aigv-reward: {folder / 'clips/0.mp4'}: it is empty (0 bytes)\n"
        "aigv-reward: error: 1 of 6 videos could not be scored (16.7%); repair or leave out the "
        "files named above, or allow with --max-error-rate\n"
    )
    assert results(folder)["dimensions"]["overall"]["count"] == 5
    assert results(folder)["failed"] == {str(folder / "clips/0.mp4"): "it is empty (0 bytes)"}
    assert rows(folder)[0]["error"] == "it is empty (0 bytes)"
    allowed = run(folder / "mos.csv", "--out", folder / "again", "--max-error-rate", 0.2)
    assert allowed.exit_code == 0
    assert allowed.stderr.endswith("(16.7%), which --max-error-rate 0.2 allows\n")


def test_where_nothing_can_be_scored_there_are_no_figures(run: Run, folder: Path) -> None:
    for i in range(6):
        (folder / f"clips/{i}.mp4").unlink()
    result = run(folder / "mos.csv")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "6 of 6 videos could not be scored" in result.stderr
    assert [row["error"] != "" for row in rows(folder)] == [True] * 6
    assert not (folder / "out/results.json").exists()


def test_many_failures_are_named_in_the_csv_only(run: Run, folder: Path) -> None:
    listed = "".join(f"none{i}.mp4,3\n" for i in range(25))
    (folder / "many.csv").write_text(f"path,overall\nclips/1.mp4,2\n{listed}")
    result = run(folder / "many.csv")
    assert result.stderr.count("it cannot be opened") == 20
    assert "aigv-reward: and 5 more, in scores.csv\n" in result.stderr


PAIRS = [(0, 1, "B"), (2, 1, "B"), (3, 0, "A"), (4, 5, "same"), (3, 1, "B"), (2, 0, "same")]


def pair_list(folder: Path, prefix: str = "clips/") -> str:
    lines = "".join(
        f"{prefix}{a}.mp4,{prefix}{b}.mp4,{MAKERS[a]},{MAKERS[b]},p{a},{choice}\n"
        for a, b, choice in PAIRS
    )
    return f"path_A,path_B,A_model,B_model,prompt,Overall\n{lines}"


def test_pairs_score_each_file_once(run: Run, folder: Path, checkpoint: Path) -> None:
    (folder / "pairs.csv").write_text(pair_list(folder))
    result = run(folder / "pairs.csv")
    assert (result.exit_code, result.stderr) == (0, "")
    written = rows(folder)
    assert [Path(row["video"]).stem for row in written] == list("012345")
    assert "mos_overall" not in written[0]
    assert [row["generator"] for row in written] == list(MAKERS)
    scores = [float(row["overall"]) for row in written]
    differences = [scores[a] - scores[b] for a, b, _ in PAIRS]
    choices = [{"A": 1, "B": -1, "same": 0}[choice] for _, _, choice in PAIRS]
    overall = results(folder)["dimensions"]["overall"]
    assert overall["with_ties"]["value"] == accuracy_with_ties(choices, differences)
    assert overall["without_ties"]["value"] == accuracy_without_ties(choices, differences)
    assert (overall["count"], overall["ties"]) == (6, 2)
    assert results(folder)["bootstrap"]["unit"] == "prompts"
    for said in ("pairs", "called the same", "accuracy with ties", "resamples of prompts"):
        assert said in result.stdout
    assert Image.open(folder / "out/differences.png").format == "PNG"


def test_a_benchmark_folder(run: Run, folder: Path) -> None:
    bench = folder / "bench"
    (bench / "videos").mkdir(parents=True)
    for file in (folder / "clips").iterdir():
        file.rename(bench / "videos" / file.name)
    listed = pair_list(folder, "videos/").replace(",Overall", ",VQ,MQ,TA,Overall")
    for choice in ("A", "B", "same"):
        listed = listed.replace(f",{choice}\n", f",same,A,B,{choice}\n")
    (bench / "videogen-rewardbench.csv").write_text(listed)
    result = run(bench, "--benchmark", "video-gen-reward-bench", "--dimensions", "motion,overall")
    assert (result.exit_code, result.stderr) == (0, "")
    record = results(folder)
    assert list(record["dimensions"]) == ["motion", "overall"]
    assert record["benchmark"] == "video-gen-reward-bench"
    assert record["dimensions"]["motion"]["ties"] == 0
    assert record["unscored"] == ["technical", "semantic"]


def test_scores_of_a_run_are_evaluated_again_without_a_model(run: Run, folder: Path) -> None:
    (folder / "clips/5.mp4").write_bytes(b"")
    run(folder / "mos.csv")
    for file in (folder / "clips").iterdir():
        file.unlink()
    again = run(
        folder / "mos.csv",
        "--scores",
        folder / "out/scores.csv",
        "--out",
        folder / "again",
        tiny=False,
    )
    assert again.exit_code == 1
    assert rows(folder, "again") == rows(folder)
    first, second = (
        json.loads((folder / out / "results.json").read_text()) for out in ("out", "again")
    )
    assert second["scores"] == str(folder / "out/scores.csv")
    assert second["untrained"] == ["motion"]
    for name, one in first["dimensions"].items():
        for measure in ("srcc", "krcc", "challenge"):
            assert second["dimensions"][name][measure]["value"] == pytest.approx(
                one[measure]["value"], abs=1e-4
            )


def test_what_score_printed_can_be_evaluated(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its paths are relative to the folder it ran in, which the csv lies in here."""
    monkeypatch.chdir(folder)
    printed = run("clips", "--format", "csv", command="score").stdout
    (folder / "score.csv").write_text(printed)
    monkeypatch.chdir("/")
    result = run(folder / "mos.csv", "--scores", folder / "score.csv", tiny=False)
    assert (result.exit_code, result.stderr) == (0, "")
    assert results(folder)["videos"] == {"scored": 6, "failed": 0}


def test_a_video_without_a_row_has_failed(run: Run, folder: Path) -> None:
    lines = "".join(f"{folder}/clips/{i}.mp4,{i}\n" for i in range(5))
    (folder / "some.csv").write_text(f"video,overall\n{lines}/elsewhere.mp4,7\n")
    result = run(folder / "mos.csv", "--scores", folder / "some.csv", tiny=False)
    assert result.exit_code == 1
    assert f"5.mp4: it has no row in {str(folder / 'some.csv')!r}\n" in result.stderr
    assert results(folder)["videos"] == {"scored": 5, "failed": 1}
    assert results(folder)["unscored"] == ["motion"]


REWARDS = """
import torch
def brightness(frames, prompts, *, fps=None):
    return frames.mean(dim=(1, 2, 3, 4))
def broken(frames, prompts, *, fps=None):
    raise TypeError("no frames today")
def picky(frames, prompts, *, fps=None):
    return {"overall": torch.full((1,), float("nan") if "3" in prompts[0] else 1.0)}
"""


@pytest.fixture
def rewards(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "my_rewards.py").write_text(REWARDS)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "my_rewards", raising=False)


@pytest.mark.usefixtures("rewards")
def test_any_reward_may_be_named(run: Run, folder: Path) -> None:
    result = run(folder / "mos.csv", "--reward", "my_rewards:brightness", tiny=False)
    assert (result.exit_code, result.stderr) == (0, "")
    record = results(folder)
    assert record["reward"] == "my_rewards:brightness"
    assert (list(record["dimensions"]), record["unscored"]) == (["overall"], ["motion"])
    assert all(0 < float(row["overall"]) < 1 for row in rows(folder))


def test_a_model_may_be_named_by_its_import_path(
    run: Run, folder: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "my_models.py").write_text(
        "from aigv_reward import VideoReward\n"
        f"def tiny():\n    return VideoReward.from_pretrained({str(checkpoint)!r})\n"
    )
    monkeypatch.syspath_prepend(folder)
    args = ("--reward", "my_models:tiny", "--clips", 2)
    result = run(folder / "mos.csv", *args, tiny=False)
    assert (result.exit_code, result.stderr) == (0, "")
    record = results(folder)
    assert (record["untrained"], record["clips"]) == (["motion"], 2)
    assert list(record["dimensions"]) == ["motion", "overall"]


@pytest.mark.usefixtures("rewards")
def test_a_reward_that_fails(run: Run, folder: Path) -> None:
    result = run(folder / "mos.csv", "--reward", "my_rewards:broken", tiny=False)
    assert error(result).endswith("0.mp4' (TypeError: no frames today)")
    picky = run(
        folder / "mos.csv", "--reward", "my_rewards:picky", "--out", folder / "b", tiny=False
    )
    assert picky.exit_code == 1
    assert "as overall of one video; it must be one finite number" in picky.stderr
    assert [row["error"] != "" for row in rows(folder, "b")] == [i == 3 for i in range(6)]
    missing = run(
        folder / "mos.csv", "--reward", "my_rewards:none", "--out", folder / "c", tiny=False
    )
    assert "has no 'none'" in error(missing)
    args = ("--reward", "my_rewards:brightness", "--clips", 2, "--out", folder / "d")
    assert "is given whole videos; leave --clips out" in error(
        run(folder / "mos.csv", *args, tiny=False)
    )


def test_prompts_are_read_unless_told_not_to(run: Run, folder: Path, checkpoint: Path) -> None:
    listed = (folder / "mos.csv").read_text().replace("motion,", "semantic,", 1)
    (folder / "semantic.csv").write_text(listed)
    with torch.no_grad():
        reward = VideoReward.from_pretrained(checkpoint)
        for out, flags, prompts in (
            ("out", [], ["scene, 0"]),
            ("plain", ["--no-prompts", "--out", folder / "plain"], None),
        ):
            assert run(folder / "semantic.csv", *flags).exit_code == 0
            expected = float(reward.score([folder / "clips/0.mp4"], prompts).semantic)
            assert float(rows(folder, out)[0]["semantic"]) == pytest.approx(expected, abs=2e-5)
            record = json.loads((folder / out / "results.json").read_text())
            assert record["prompts"] == ("not read" if prompts is None else "read")


def test_columns_root_and_windows(run: Run, folder: Path, checkpoint: Path) -> None:
    lines = "".join(f"{i}.mp4,{mos},{mos}\n" for i, mos in enumerate(MOS))
    (folder / "list").mkdir()
    (folder / "list/odd.csv").write_text(f"name,stars,motion\n{lines}")
    result = run(
        folder / "list/odd.csv",
        "--columns",
        "path=name,overall=stars",
        "--root",
        folder / "clips",
        "--dimensions",
        "overall",
        "--clips",
        2,
    )
    assert (result.exit_code, result.stderr) == (0, "")
    assert list(results(folder)["dimensions"]) == ["overall"]
    with torch.no_grad():
        reward = VideoReward.from_pretrained(checkpoint)
        expected = float(reward.score([folder / "clips/0.mp4"], clips=2).overall)
    assert float(rows(folder)[0]["overall"]) == pytest.approx(expected, abs=2e-5)


def test_the_seed_moves_the_intervals_and_nothing_else(run: Run, folder: Path) -> None:
    lines = "".join(f"{folder}/clips/{i}.mp4,{i % 4}\n" for i in range(6))
    (folder / "some.csv").write_text(f"video,overall\n{lines}")
    found = []
    for seed in (0, 1):
        out = folder / f"seed{seed}"
        args = ("--scores", folder / "some.csv", "--seed", seed, "--out", out)
        run(folder / "mos.csv", *args, tiny=False)
        record = json.loads((out / "results.json").read_text())
        found.append(record["dimensions"]["overall"]["plcc"])
    assert found[0]["value"] == found[1]["value"]
    assert (found[0]["low"], found[0]["high"]) != (found[1]["low"], found[1]["high"])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["none.csv"], "list 'none.csv' does not exist; give a list, or a benchmark's folder"),
        (["clips"], "folder 'clips' is no data set; if it is a benchmark's, say which with --ben"),
        (["clips", "--benchmark", "t2vqa-db"], "folder 'clips' holds no info.txt"),
        (["clips", "--benchmark", "t2vqa-db", "--root", "."], "--root and --columns are for lists"),
        (["mos.csv", "--columns", "path"], "--columns 'path': write field=column, such as path=f"),
        (["mos.csv", "--columns", "place=path"], "columns has an unknown field 'place'"),
        (["mos.csv", "--dimensions", "beauty"], "unknown dimension 'beauty'; choose from technic"),
        (
            ["mos.csv", "--scores", "x.csv", "--reward", "a:b"],
            "--checkpoint, --reward and --scores",
        ),
        (["mos.csv", "--out", "clips"], "'clips' exists and is not an empty folder; name a new"),
        (["mos.csv", "--scores", "x.csv", "--clips", "2"], "--clips is for scoring, and --scores"),
        (["mos.csv", "--scores", "x.csv"], "scores file 'x.csv' cannot be read (No such file or"),
        (["mos.csv", "--scores", "mos.csv"], "it needs video and one or more of technical, motion"),
        (["mos.csv", "--scores", "twice.csv"], "line 3: 'clips/0.mp4' has a row already; keep one"),
        (["mos.csv", "--scores", "word.csv"], "line 2: overall is 'good'; it must be a finite num"),
        (["mos.csv", "--scores", "short.csv"], "line 2: the row has not as many cells as the head"),
        (["mos.csv", "--scores", "quote.csv"], "'quote.csv' is no csv file ("),
        (["mos.csv", "--scores", "sharp.csv"], "no dimension is both rated and scored: rated are"),
        (["mos.csv", "--scores", "sharp.csv", "--dimensions", "motion"], "'motion' is not scored"),
    ],
)
def test_mistakes_are_one_line(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], message: str
) -> None:
    monkeypatch.chdir(folder)
    (folder / "twice.csv").write_text("video,overall\nclips/0.mp4,1\nclips/0.mp4,2\n")
    (folder / "word.csv").write_text("video,overall\nclips/0.mp4,good\n")
    (folder / "short.csv").write_text("video,overall\nclips/0.mp4\n")
    (folder / "quote.csv").write_text('video,overall\n"clips/0.mp4,1\n')
    sharp = "".join(f"clips/{i}.mp4,{i}\n" for i in range(6))
    (folder / "sharp.csv").write_text(f"video,technical\n{sharp}")
    assert message in error(run(*args, tiny=False))


def test_a_checkpoint_that_answers_nothing_rated(run: Run, folder: Path, checkpoint: Path) -> None:
    config = json.loads((checkpoint / "config.json").read_text())
    narrow = folder / "narrow"
    narrow.mkdir()
    for file in checkpoint.iterdir():
        (narrow / file.name).write_bytes(file.read_bytes())
    config["prompt"]["questions"] = {
        name: config["prompt"]["questions"][name] for name in ("technical", "overall")
    }
    config["trained"] = ["technical", "overall"]
    (narrow / "config.json").write_text(json.dumps(config))
    (folder / "motion.csv").write_text(
        "path,motion\n" + "".join(f"clips/{i}.mp4,{i}\n" for i in range(6))
    )
    result = run(folder / "motion.csv", "--checkpoint", narrow, tiny=False)
    assert error(result) == (
        "this checkpoint scores technical, overall, and the list rates motion; there is nothing "
        "to compare"
    )
    result = run(
        folder / "motion.csv", "--checkpoint", narrow, "--dimensions", "motion", tiny=False
    )
    assert error(result).startswith("this checkpoint does not score 'motion'")


def test_without_matplotlib_one_line_names_the_extra(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "aigv_reward.evaluation.plots", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)
    message = error(run(folder / "mos.csv"))
    assert message == 'evaluate needs matplotlib: pip install "aigv-reward[train]"'
    assert not (folder / "out").exists()


def test_a_folder_that_cannot_be_written(run: Run, folder: Path) -> None:
    (folder / "file").write_text("")
    message = error(run(folder / "mos.csv", "--out", folder / "file/out"))
    assert message.endswith("(Not a directory); make room, or name another folder")
