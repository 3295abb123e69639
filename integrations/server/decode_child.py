"""The process that decodes: it forks once a video, so that a bad one takes only itself down.

What a video may use is set in the fork and enforced by the kernel; time on the clock is enforced
here, by killing. This process itself touches no byte of any video.
"""

from __future__ import annotations

import gc
import json
import os
import select
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NoReturn

import torch

from aigv_reward import AIGVRewardConfig, AIGVRewardModel, VideoReward
from aigv_reward.integrations.server.channel import Channel
from aigv_reward.integrations.server.confinement import confine
from aigv_reward.integrations.server.decode_job import run_job
from aigv_reward.integrations.server.refusals import error_answer

MOST_DESCRIPTORS = 1024
LONGEST_ANSWER = 256 << 20  # the prompts of a request with the most and longest ones fit
LONGEST_HEADER = 1 << 16  # of a file of views


@dataclass
class Job:
    """One fork at work.

    Attributes:
        number: of the server's message.
        pid: of the fork.
        deadline: on the monotonic clock.
        file_bytes: that a file which it writes may have.
        answer: what it has written so far.
    """

    number: int
    pid: int
    deadline: float
    file_bytes: int
    answer: bytearray = field(default_factory=bytearray)
    late: bool = False


class Forks:
    """Starts, watches, ends and reports the forks.

    Args:
        channel: to the server.
        reward: prepares views; its model has no weights.
        view_bytes: that a file of views may have.
        limits: `frame_pixels`, `video_pixels`, `decode_memory`, `decode_seconds`.
    """

    def __init__(
        self, channel: Channel, reward: VideoReward, *, view_bytes: int, limits: dict[str, int]
    ) -> None:
        self.channel, self.reward = channel, reward
        self.view_bytes, self.limits = view_bytes, limits
        self.jobs: dict[int, Job] = {}  # by the end of the pipe that is read here

    def start(self, message: dict[str, Any]) -> None:
        """Fork for a message."""
        number = message.pop("id")
        splits = message["kind"] == "split"  # what it writes was in the body
        file_bytes = self.view_bytes
        if splits:
            with suppress(OSError):  # its client has gone, and the body with it: the fork says so
                file_bytes = os.path.getsize(message["path"])
        end, written = os.pipe()
        pid = os.fork()
        if not pid:
            self._work(message, written, file_bytes)
        os.close(written)
        deadline = time.monotonic() + 2 * self.limits["decode_seconds"]
        self.jobs[end] = Job(number, pid, deadline, file_bytes)

    def cancel(self, number: int) -> None:
        """Kill the fork that works on a message nobody waits for."""
        for job in self.jobs.values():
            if job.number == number:
                os.kill(job.pid, signal.SIGKILL)

    def kill_late(self) -> float | None:
        """Kill what is over time; seconds until the next one is, None without jobs."""
        now = time.monotonic()
        for job in self.jobs.values():
            if job.deadline <= now and not job.late:
                job.late = True
                os.kill(job.pid, signal.SIGKILL)
        waiting = [job.deadline - now for job in self.jobs.values() if not job.late]
        return max(0.0, min(waiting)) if waiting else None

    def read(self, end: int) -> None:
        """Take what a fork has written; at its end, report it."""
        data = os.read(end, 1 << 20)
        job = self.jobs[end]
        if data:
            job.answer += data
            if len(job.answer) > LONGEST_ANSWER:
                os.kill(job.pid, signal.SIGKILL)
            return
        os.close(end)
        del self.jobs[end]
        _, status = os.waitpid(job.pid, 0)
        self.channel.send(id=job.number, **self._outcome(job, os.waitstatus_to_exitcode(status)))

    def kill_all(self) -> None:
        """End every fork."""
        for job in self.jobs.values():
            os.kill(job.pid, signal.SIGKILL)

    def _outcome(self, job: Job, code: int) -> dict[str, Any]:
        seconds = self.limits["decode_seconds"]
        if job.late:
            return error_answer("decode_timeout", f"decoding took longer than {2 * seconds} s")
        if code == 0:
            with suppress(ValueError):
                answer: dict[str, Any] = json.loads(job.answer)
                return answer
        if code == -signal.SIGXCPU:
            return error_answer(
                "decode_timeout", f"decoding took more than {seconds} s of a processor"
            )
        if code == -signal.SIGXFSZ:
            return error_answer(
                "decode_limit",
                f"decoding wrote a file of more than {job.file_bytes} bytes, which no good video "
                "needs; the file may be damaged",
            )
        ended = signal.Signals(-code).name if code < 0 else f"status {code}"
        return error_answer(
            "decode_crash", f"the decoder ended with {ended}; the file may be damaged"
        )

    def _work(self, message: dict[str, Any], written: int, file_bytes: int) -> NoReturn:
        code = 1
        try:
            # A fork that a video takes over has no line to the server, nor to other forks.
            os.closerange(3, written)
            os.closerange(written + 1, MOST_DESCRIPTORS)
            confine({**self.limits, "file_bytes": file_bytes})
            answer = json.dumps(run_job(self.reward, message, self.limits), allow_nan=False)
            with os.fdopen(written, "wb") as pipe:
                pipe.write(answer.encode())
            code = 0
        except BaseException:  # reported by the status: nothing may reach the parent's code
            code = 1
        finally:
            os._exit(code)


def view_bytes(reward: VideoReward) -> int:
    """What a file of views may have: those of a checkpoint have one size, whatever the video."""
    views = reward.prepare(torch.zeros(2, 3, 64, 64, dtype=torch.uint8), fps=16.0)
    return LONGEST_HEADER + sum(view.nbytes for view in vars(views).values())


def main() -> None:
    """Fork for each message until the server hangs up."""
    channel = Channel()
    for library in ("av", "decord", "PIL.Image"):  # once here rather than in every fork
        if find_spec(library.partition(".")[0]) is not None:
            import_module(library)
    settings = channel.receive()
    with torch.device("meta"):
        model = AIGVRewardModel(AIGVRewardConfig.from_dict(settings["config"]))
    reward = VideoReward(model)
    most = view_bytes(reward)
    gc.freeze()  # a collection in a fork would copy every page of this process
    channel.send(ready={})
    forks = Forks(channel, reward, view_bytes=most, limits=settings["limits"])
    unread = b""
    while True:
        readable, _, _ = select.select([channel.incoming, *forks.jobs], [], [], forks.kill_late())
        for end in readable:
            if end != channel.incoming:
                forks.read(end)
                continue
            data = os.read(end, 1 << 20)
            if not data:
                forks.kill_all()
                # Here for a server that was killed; one that stops does it too.
                shutil.rmtree(settings["spool"], ignore_errors=True)
                return
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                message = json.loads(line)
                if "cancel" in message:
                    forks.cancel(message["cancel"])
                else:
                    forks.start(message)
