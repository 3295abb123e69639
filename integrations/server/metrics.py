"""What a server counts, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SIZES = (1, 2, 4, 8, 16, 32, 64)
SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


class Metrics:
    """Counters of one server; nothing is registered globally."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "aigv_reward_requests",
            "Requests answered.",
            ("route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "aigv_reward_request_seconds",
            "From a request's first line to the end of its answer.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._items = Counter(
            "aigv_reward_items",
            "Videos by result: ok, or the type of their error.",
            ("result",),
            registry=self.registry,
        )
        self._waiting = Gauge(
            "aigv_reward_items_waiting",
            "Videos admitted and not yet answered.",
            registry=self.registry,
        )
        self._sizes = Histogram(
            "aigv_reward_batch_size", "Videos of a batch.", buckets=SIZES, registry=self.registry
        )
        self._model = Histogram(
            "aigv_reward_batch_seconds",
            "The model's time for a batch.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._restarts = Counter(
            "aigv_reward_child_restarts",
            "Processes started anew after one died.",
            ("child",),
            registry=self.registry,
        )

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered; status 0 where the client went away before."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def item(self, result: str) -> None:
        """A video has its result."""
        self._items.labels(result).inc()

    def waiting(self, count: int) -> None:
        """So many videos are in the queue now."""
        self._waiting.set(count)

    def batch(self, size: int, seconds: float) -> None:
        """The model has answered a batch."""
        self._sizes.observe(size)
        self._model.observe(seconds)

    def restart(self, child: str) -> None:
        """A process is started anew."""
        self._restarts.labels(child).inc()

    def page(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)
