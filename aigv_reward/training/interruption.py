"""Ctrl-C saves the state of the run, so that it can go on from there exactly."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class SaveOnInterrupt(TrainerCallback):
    """Ends training after the step at which it was asked to, with everything saved.

    Attributes:
        asked: set it, or press Ctrl-C inside `listening`.
        stopped: whether training ended for it.
    """

    def __init__(self) -> None:
        self.asked = False
        self.stopped = False
        self._inside_epoch = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the first Ctrl-C as a request; a second one is a KeyboardInterrupt as ever."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def ask(number: int, frame: Any) -> None:
            self.asked = True
            signal.signal(signal.SIGINT, before)

        signal.signal(signal.SIGINT, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Save and stop, unless the epoch ends here and its validation is still to come."""
        if self._asked_anywhere(args) and not float(state.epoch).is_integer():
            control.should_save = control.should_training_stop = True
            self.stopped = self._inside_epoch = True

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Inside an epoch validate nothing, as the uninterrupted run would not; else save."""
        if self._inside_epoch:
            control.should_evaluate = control.should_save = False
        elif self.asked:
            control.should_save = control.should_training_stop = True
            self.stopped = True

    def _asked_anywhere(self, args: TrainingArguments) -> bool:
        """Whether any process was asked: all of them must stop at the same step."""
        if args.world_size > 1:
            asked = torch.tensor(float(self.asked), device=args.device)
            torch.distributed.all_reduce(asked)
            self.asked = bool(asked > 0)
        return self.asked
