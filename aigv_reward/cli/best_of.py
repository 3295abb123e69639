"""`aigv-reward best-of`: the best videos of each group of a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from aigv_reward.cli.errors import note
from aigv_reward.cli.filter import EmitForm, RunFolder
from aigv_reward.cli.options import OutputFormat
from aigv_reward.cli.output import row_writer
from aigv_reward.cli.rank import parse_weights
from aigv_reward.cli.rows import Columns, Row
from aigv_reward.cli.score_run import corpus_errors


def best_of(
    run: RunFolder,
    group_by: Annotated[
        str, typer.Option(metavar="COLUMN", help="prompt, or another column of the input.")
    ] = "prompt",
    k: Annotated[int, typer.Option("-k", min=1, help="Videos of a group.")] = 1,
    by: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="A dimension, or weights of a sum such as motion=0.5,technical=0.5.",
        ),
    ] = "overall",
    form: OutputFormat = "table",
    out: Annotated[
        Path | None,
        typer.Option(metavar="SET", help="New folder for the set as well.", show_default=False),
    ] = None,
    emit: EmitForm = "parquet",
) -> None:
    """Print the best videos of each group, in the order of the input; failed ones do not count."""
    weights = {str(name): weight for name, weight in parse_weights(by).items()}
    with corpus_errors(out or run):
        from aigv_reward.corpus import CorpusRules, Run, TopK, filter_run
        from aigv_reward.corpus.selection import ranked, weighted

        scored = Run(run)
        top = TopK(k, group_by, weights)
        selection = filter_run(scored, CorpusRules(top_k=top), out, emit=emit)
        names = tuple(scored.plan["dimensions"])
        trained = scored.plan["checkpoint"]["trained"]
        untrained = tuple(name for name in names if name not in trained)
        ranks = ranked(selection.kept, top)
        sums = [weighted(row, weights) for row in selection.kept]
        items = scored.items
    writer = row_writer(form, Columns(names, untrained, ranked=True, weighted="=" in by))
    for row, total in zip(selection.kept, sums, strict=True):
        writer.write(
            Row(
                os.fsdecode(items[row["ordinal"]].location),
                {name: row[name] for name in names},
                rank=ranks[row["ordinal"]][0],
                weighted=total,
            )
        )
    writer.finish()
    if failed := sum(one.rule == "status" for one in selection.rejected):
        note(f"{failed} of {scored.total} videos of the run have no scores")
