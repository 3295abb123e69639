"""`aigv-reward filter`: the videos of a run that rules keep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from aigv_reward.cli.errors import UsageError, note
from aigv_reward.cli.output import emit as say
from aigv_reward.cli.score_run import corpus_errors

EmitForm = Annotated[
    Literal["parquet", "jsonl", "videofolder", "symlink", "copy", "webdataset"],
    typer.Option("--emit", help="What the set holds: a list, or the videos as well."),
]
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a finished run.", show_default=False)
]


def filter_command(
    run: RunFolder,
    rules: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="YAML: minimum, maximum, minimum_z, minimum_percentile, ... of dimensions, match, "
            "missing, reference, duplicates, top_k.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="SET", help="New folder for the set.", show_default=False)
    ],
    emit: EmitForm = "parquet",
    report: Annotated[
        bool, typer.Option("--report", help="Put report.html, a page of the set, into it.")
    ] = False,
) -> None:
    """Keep the videos of a run that pass rules; every other row gets its reasons.

    No model is loaded: score once, filter many times.
    """
    with corpus_errors(out):
        from aigv_reward.corpus import CorpusRules, Run, filter_run

        try:
            wanted = CorpusRules.from_yaml(rules)
        except ValueError as error:
            raise UsageError(str(error)) from error
        scored = Run(run)
        selection = filter_run(scored, wanted, out, emit=emit, report=report)
        trained = scored.plan["checkpoint"].get("trained", wanted.dimensions)
    if untrained := [name for name in wanted.dimensions if name not in trained]:
        note(f"the rules use what this checkpoint was not trained for: {', '.join(untrained)}")
    kept, rejected = len(selection.kept), len(selection.rejected)
    say(f"kept {kept} of {kept + rejected} videos; wrote {out}\n")
