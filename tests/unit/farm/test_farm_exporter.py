"""--metrics-port: a real server on loopback, and what stands in its way."""

from __future__ import annotations

import os
import socket
import sys
import urllib.request
from pathlib import Path

import pytest
from farm_examples import a_leader

from orze.farm.exporter import Exporter, MetricsError
from orze.farm.show import Show

parser = pytest.importorskip("prometheus_client.parser", reason="prometheus-client is not installed")


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.fixture
def exporter(port):
    made = Exporter(port)
    yield made
    made.close()


def scrape(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    families = parser.text_string_to_metric_families(text)
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_a_scrape_is_told_what_the_last_cycle_saw_and_nothing_before_it(tmp_path: Path, port, exporter):
    members = a_leader(tmp_path)
    members.telemetry.exporter = exporter
    assert "orze_queue_depth" not in scrape(port)
    members.hosts.begin()
    members.telemetry.started()
    Show(members.context, members).after_cycle({"cpu0": "idea-001"})
    found = scrape(port)
    assert found["orze_queue_depth"] == 0
    assert found["orze_attempts_started_total"] == 1
    assert found["orze_cycle_seconds_count"] == 0
    assert found["process_resident_memory_bytes"] > 0
    assert "orze_disk_free_bytes" not in found


def test_it_listens_on_loopback_alone(port, exporter):
    listening = Path("/proc/net/tcp").read_text().splitlines()[1:]
    addresses = [line.split()[1] for line in listening if line.split()[1].endswith(f":{port:04X}")]
    assert addresses[0] == f"0100007F:{port:04X}"  # 127.0.0.1, proc(5)
    assert f"00000000:{port:04X}" not in addresses


def test_a_port_that_is_taken_is_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(MetricsError) as caught:
        Exporter(taken.getsockname()[1])
    assert "\n" not in str(caught.value)
    assert "choose another port" in str(caught.value)
    assert caught.value.exit_code == 2


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MetricsError, match="pip install 'prometheus-client"):
        Exporter(1)


def test_nobody_who_does_not_ask_for_a_port_loads_the_package():
    code = "import sys, orze.cli.modes; sys.exit('prometheus_client' in sys.modules)"
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code]) == 0
