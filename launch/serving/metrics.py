"""What a policy server counts, for Prometheus: requests, the queue, latencies of stages, batches, drops."""

from __future__ import annotations

from collections.abc import Callable

from ideomotor.launch.serving.packing import missing_extra

BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
BATCHES = (1, 2, 4, 8, 16, 32)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """One server's figures, in a registry of their own. UserError naming the extra if it is not installed."""

    def __init__(self, depth: Callable[[], int]) -> None:
        """Args:
        depth: how many requests wait now.
        """
        try:
            import prometheus_client as prometheus
        except ImportError:
            raise missing_extra("prometheus-client") from None
        self._generate = prometheus.generate_latest
        self._registry = registry = prometheus.CollectorRegistry()
        prefix = "ideomotor_serve_"
        self.requests = prometheus.Counter(
            f"{prefix}requests", "answered requests", ["protocol", "type", "outcome"], registry=registry
        )
        self.dropped = prometheus.Counter(
            f"{prefix}dropped", "requests dropped before they were answered", ["reason"], registry=registry
        )
        self.stage_s = prometheus.Histogram(
            f"{prefix}stage_seconds",
            "time of each stage: read, queue, infer, write",
            ["type", "stage"],
            buckets=BUCKETS_S,
            registry=registry,
        )
        self.batch = prometheus.Histogram(
            f"{prefix}batch_size", "requests answered at once", ["type"], buckets=BATCHES, registry=registry
        )
        self.clients = prometheus.Gauge(f"{prefix}clients", "open connections", registry=registry)
        self.refused = prometheus.Counter(
            f"{prefix}refused_connections", "connections without the token", registry=registry
        )
        queue = prometheus.Gauge(f"{prefix}queue", "requests that wait", registry=registry)
        queue.set_function(depth)

    def page(self) -> bytes:
        """What `/metrics` shows."""
        return self._generate(self._registry)

    def observer(self, kind: str) -> Callable[[int, str], None]:
        """What a `Batcher` tells of its batches and drops."""

        def observe(size: int, reason: str) -> None:
            if reason:
                self.dropped.labels(reason).inc()
            else:
                self.batch.labels(kind).observe(size)

        return observe
