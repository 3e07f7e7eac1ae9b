"""`--metrics-port`: this host's numbers over HTTP, on the loopback interface alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from orze.core.errors import OrzeError
from orze.report.prometheus import Numbers, families

if TYPE_CHECKING:
    from prometheus_client import Metric

_ADDRESS = "127.0.0.1"


class MetricsError(OrzeError):
    """The numbers cannot be served."""


class Exporter:
    """A server in threads of its own, which only ever see whole `Numbers`.

    Args:
        port: where to listen.

    Attributes:
        numbers: what is told to whoever asks; replaced by the daemon, never changed. None: nothing yet.

    Raises:
        MetricsError: the package is missing, or the port cannot be had.
    """

    def __init__(self, port: int) -> None:
        self.numbers: Numbers | None = None
        try:
            import prometheus_client
        except ModuleNotFoundError:
            raise MetricsError(
                "--metrics-port needs the package prometheus-client: pip install 'prometheus-client>=0.20'"
            ) from None
        registry = prometheus_client.CollectorRegistry()
        registry.register(self)
        prometheus_client.ProcessCollector(registry=registry)
        try:
            self._server, _ = prometheus_client.start_http_server(port, _ADDRESS, registry)
        except OSError as error:
            reason = f"cannot listen on {_ADDRESS}:{port}: {error.strerror}"
            raise MetricsError(f"--metrics-port {reason}; choose another port") from None

    def collect(self) -> Iterator[Metric]:
        """What a scrape is told, as prometheus-client asks for it."""
        from prometheus_client import Metric

        numbers = self.numbers  # once: the daemon may replace it meanwhile
        for family in families(numbers) if numbers else ():
            metric = Metric(family.name.removesuffix("_total"), family.about, family.kind)
            for (name, labels), value in family.samples.items():
                metric.add_sample(name, dict(labels), value)
            yield metric

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
