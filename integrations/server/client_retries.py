"""When a client asks again, and after how long."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import httpx


class RewardUnavailable(RuntimeError):
    """The server gave no scores, however often it was asked, or what it gave are none."""


def not_ours(url: httpx.URL, reason: str) -> RewardUnavailable:
    """What an answer raises that no reward server gives.

    Args:
        url: that answered; its user and password are left out.
        reason: what is wrong with the answer.
    """
    place = f"{url.scheme}://{url.netloc.decode('ascii')}{url.path}"
    return RewardUnavailable(
        f"{place} answers, but not as a reward server does: {reason}; check the address"
    )


@dataclass(frozen=True)
class Retries:
    """Waits between attempts: random up to a bound that doubles, and at least what the server asks.

    Attributes:
        attempts: in all, at least 1.
        first: seconds, the bound of the first wait.
        longest: seconds, the bound of every wait.

    Raises:
        ValueError: no attempt, or a wait that is not positive.
    """

    attempts: int = 6
    first: float = 0.5
    longest: float = 20.0
    _random: random.Random = field(default_factory=random.Random, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts is {self.attempts}; ask at least once")
        if not 0 < self.first <= self.longest < float("inf"):
            raise ValueError(
                f"first is {self.first} s and longest {self.longest} s; give 0 < first <= longest"
            )

    def wait(self, attempt: int, retry_after: float = 0.0) -> float:
        """Seconds before the attempt after number `attempt`, which counts from 0."""
        bound = min(self.longest, self.first * 2.0 ** min(attempt, 30))
        return min(self.longest, max(0.0, retry_after)) + self._random.uniform(0.0, bound)

    def after(self, attempt: int, outcome: httpx.Response | httpx.RequestError) -> float | None:
        """Seconds to wait before asking again; None where the answer is final.

        Raises:
            RewardUnavailable: there is no attempt left, or the answer cannot be decoded.
        """
        if isinstance(outcome, httpx.DecodingError):
            raise not_ours(outcome.request.url, f"its content cannot be decoded ({outcome})")
        retry_after = 0.0
        if isinstance(outcome, httpx.Response):
            if outcome.status_code not in (408, 429) and outcome.status_code < 500:
                return None
            retry_after = _retry_after(outcome)
        if attempt + 1 >= self.attempts:
            said = _said(outcome)
            raise RewardUnavailable(f"no scores after {self.attempts} attempts: {said}")
        return self.wait(attempt, retry_after)


def _retry_after(response: httpx.Response) -> float:
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else 0.0


def _said(outcome: httpx.Response | httpx.RequestError) -> str:
    if isinstance(outcome, httpx.Response):
        return f"{outcome.url.host} answered {outcome.status_code} {outcome.text[:200]}"
    return f"{type(outcome).__name__} {outcome}".strip()
