"""Headless Chromium, driven by its DevTools protocol over two pipes: no port, no driver."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = (
    "the tests of pages need Chromium, which is not installed; on Debian and Ubuntu: "
    "apt-get install --no-install-recommends chromium"
)
OPTIONS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --disable-default-apps "
    "--disable-extensions --disable-dev-shm-usage --mute-audio --hide-scrollbars "
    "--remote-debugging-pipe"
).split()
SECONDS = 60.0


def executable() -> str | None:
    """The path of Chromium or Chrome."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Chromium:
    """One Chromium with one tab.

    Attributes:
        problems: what the console and the network of the page that is open complained of.
        requests: URLs that it asked for, but for data.
    """

    def __init__(self, profile: Path) -> None:
        path = executable()
        if path is None:
            raise RuntimeError(MISSING)
        theirs, self._to = os.pipe()
        self._from, ours = os.pipe()

        def wire() -> None:  # it reads descriptor 3 and writes descriptor 4
            high = [os.dup(one) for one in (theirs, ours)]
            for one, place in zip(high, (3, 4), strict=True):
                os.dup2(one, place)

        with open(profile.with_suffix(".log"), "wb") as log:
            self._process = subprocess.Popen(
                [path, *OPTIONS, f"--user-data-dir={profile}", "about:blank"],
                preexec_fn=wire,
                close_fds=False,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        os.close(theirs)
        os.close(ours)
        self._rest = b""
        self._count = 0
        self._session: str | None = None
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        pages = self._send("Target.getTargets")["targetInfos"]
        target = next(one["targetId"] for one in pages if one["type"] == "page")
        found = self._send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")

    def open(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load a page, and forget what the one before complained of."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._send("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])
        self.problems, self.requests, self._loaded = [], [], False
        said = self._send("Page.navigate", url=url)
        assert "errorText" not in said, said
        self._until(lambda: self._loaded, f"{url} to load")

    def run(self, script: str) -> Any:
        """The value of an expression; a promise is awaited."""
        said = self._send(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)
        os.close(self._to)
        os.close(self._from)

    def _send(self, method: str, **params: Any) -> Any:
        self._count += 1
        sent = {"id": self._count, "method": method, "params": params}
        if self._session is not None:
            sent["sessionId"] = self._session
        os.write(self._to, json.dumps(sent).encode() + b"\0")
        answers: list[Any] = []
        self._until(lambda: bool(answers), method, answers)
        assert "error" not in answers[0], (method, answers[0]["error"])
        return answers[0]["result"]

    def _until(self, done: Callable[[], bool], what: str, answers: list[Any] | None = None) -> None:
        """Take in messages until something holds."""
        end = time.monotonic() + SECONDS
        while not done():
            ready, _, _ = select.select([self._from], [], [], max(0.0, end - time.monotonic()))
            chunk = os.read(self._from, 2**20) if ready else b""
            if not chunk:
                raise TimeoutError(f"Chromium did not answer within {SECONDS:g} s: {what}")
            *whole, self._rest = (self._rest + chunk).split(b"\0")
            for one in map(json.loads, whole):
                if "id" not in one:
                    self._take(one["method"], one["params"])
                elif answers is not None and one["id"] == self._count:
                    answers.append(one)

    def _take(self, method: str, event: Any) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            if not event["request"]["url"].startswith("data:"):
                self.requests.append(event["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(event["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.problems.append(json.dumps(event["args"]))
        elif method == "Log.entryAdded":
            self.problems.append(event["entry"]["text"])
        elif method == "Page.javascriptDialogOpening":
            self.problems.append(f"dialog: {event['message']}")
