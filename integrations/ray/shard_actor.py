"""An actor that scores shards of a run."""

from __future__ import annotations

import sys
from typing import Any

from aigv_reward.corpus import Limits, ShardWorker


class ShardActor:
    """Scores shards, or single videos, in a process of its own that a bad video may end.

    Args:
        folder: of the run, as every machine of the cluster sees it.
        settings: what loads the scorer.
        limits: of a video.
        ahead: units that are decoded while another is scored.
    """

    def __init__(self, folder: str, settings: Any, limits: Limits, ahead: int) -> None:
        self._arguments = folder, settings, limits, ahead
        self._worker: ShardWorker | None = None

    def begin(self) -> None:
        """Open the run.

        Raises:
            ValueError: it is not there.
        """
        folder, settings, limits, ahead = self._arguments
        # Else the process that scores would import the script of Ray's workers, and Ray with it.
        vars(sys.modules["__main__"]).pop("__file__", None)
        try:
            self._worker = ShardWorker(folder, settings, limits=limits, ahead=ahead)
        except ValueError as error:
            raise ValueError(
                f"a machine of the cluster does not see the run ({error}); put it, and the videos, "
                "on a file system that all of them share"
            ) from error

    def shard(self, number: int) -> int | None:
        """`ShardWorker.score`."""
        assert self._worker is not None
        return self._worker.score(number)

    def video(self, ordinal: int) -> dict[str, Any]:
        """`ShardWorker.measure`."""
        assert self._worker is not None
        return self._worker.measure(ordinal)
