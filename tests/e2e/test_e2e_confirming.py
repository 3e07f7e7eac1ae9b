"""A new best is run again on more seeds, once for ever, before the report calls it the best."""

from __future__ import annotations

from farmhouse import SHORT_LEASE, idea

MEASURED = "metrics(val_accuracy={} + 0.001 * int(env['ORZE_SEED']))"


def entered(farm) -> list[str]:
    """The names of the entries that the journal took from the inbox."""
    return [uuid for record in farm.journal() for uuid, _ in record.get("alloc", ())]


def test_a_new_best_is_run_on_two_more_seeds_exactly_once_although_the_daemon_is_killed(make_farm):
    report = {"primary_metric": "val_accuracy", "confirm": 3}
    farm = make_farm(poll=1, lease=SHORT_LEASE, report=report)
    farm.write(idea(1, MEASURED.format(0.5)))
    daemon = farm.start(gpus="cpu:2")
    farm.wait(lambda: list(farm.home.glob("ideas.d/new/confirm-*")) or entered(farm), "an entry")
    daemon.kill()
    farm.start(gpus="cpu:2")
    farm.wait(lambda: (farm.status().get("best") or {}).get("runs") == 3, "three runs")
    best = farm.status()["best"]
    assert (best["verdict"], best["idea_id"], best["mean"]) == ("best", "idea-001", 0.501)
    assert sorted(one["value"] for one in farm.status()["top_results"]) == [0.5, 0.501, 0.502]

    farm.append(idea(20, MEASURED.format(0.7)))
    farm.wait(lambda: farm.status()["best"]["mean"] == 0.701, "the second is confirmed")
    best = farm.status()["best"]
    assert (best["verdict"], best["cleared"], best["runs"]) == ("best", "idea-001", 3)
    assert len(entered(farm)) == len(set(entered(farm))) == 2
    assert farm.ideas.read_text().count("- **Category**: confirm") == 2
    assert "clears idea-001's 0.5010 ± 0.0025" in (farm.results / "report.md").read_text()
