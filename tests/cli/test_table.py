from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from aigv_reward.cli.rows import Columns, Row
from aigv_reward.cli.table import score_table, shorten

COLUMNS = Columns(("technical", "motion", "overall"), untrained=("motion",))
LONG = "/data/experiments/2024-11-02/seed-17/a cat surfing on a wave.mp4"
GOOD = Row(LONG, {"technical": 3.217, "motion": 2.0, "overall": 4.4})
FAILED = Row("clips/[bold]x\x1b[31m.mp4", {}, error="it is empty (0 bytes), and this is long")


def rendered(columns: Columns, rows: list[Row], width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(score_table(columns, rows))
    return [line.strip() for line in console.export_text().splitlines() if line.strip()]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_table_fits_its_terminal_and_never_cuts_a_number(width: int) -> None:
    lines = rendered(COLUMNS, [GOOD, FAILED], width)
    assert max(map(cell_len, lines)) <= width
    assert lines[0].split() == ["video", "technical", "motion*", "overall"]
    assert lines[2].split()[-3:] == ["3.22", "2.00", "4.40"]
    assert (LONG in lines[2]) == (width == 120)
    assert "surfing" in lines[2] or width == 60
    assert lines[3].split()[-3:] == ["-", "-", "-"]
    assert "it is empty" in lines[4]


def test_markup_and_escapes_in_a_path_are_shown_not_obeyed() -> None:
    (line,) = (line for line in rendered(COLUMNS, [FAILED], 120) if "bold" in line)
    assert line.startswith("clips/[bold]x\N{REPLACEMENT CHARACTER}[31m.mp4")


def test_a_failed_row_is_red() -> None:
    page = io.StringIO()
    console = Console(width=80, file=page, force_terminal=True, color_system="standard")
    console.print(score_table(COLUMNS, [GOOD, FAILED]))
    red = [line for line in page.getvalue().splitlines() if "\x1b[31m" in line]
    assert len(red) >= 2
    assert "bold" in red[0]
    assert all("surfing" not in line for line in red)


def test_ranks_stand_first_and_the_sum_last() -> None:
    columns = Columns(("motion",), ranked=True, weighted=True)
    lines = rendered(columns, [Row("a", {"motion": 2.0}, rank=1, weighted=1.5), FAILED], 80)
    assert lines[0].split() == ["rank", "video", "motion", "weighted"]
    assert lines[2].split() == ["1", "a", "2.00", "1.50"]
    assert lines[3].split()[0] == "-"


@pytest.mark.parametrize(
    ("path", "width", "expected"),
    [
        ("a/b/c.mp4", 9, "a/b/c.mp4"),
        ("aa/b/c.mp4", 9, "…/b/c.mp4"),
        ("aa/b/c.mp4", 8, "…/c.mp4"),
        ("aa/b/cdefghi.mp4", 8, "cde….mp4"),
        ("cdefghi.mp4", 1, "…"),
        ("日落时冲浪.mp4", 9, "日落…mp4"),
    ],
)
def test_folders_go_first_then_the_middle_of_the_name(path: str, width: int, expected: str) -> None:
    assert shorten(path, width) == expected


@given(st.text(st.sampled_from("ab/. 日é"), min_size=1), st.integers(1, 30))
def test_a_shortened_path_fits(path: str, width: int) -> None:
    short = shorten(path, width)
    assert cell_len(short) <= width
    assert (short == path) == (cell_len(path) <= width) or "…" in short
