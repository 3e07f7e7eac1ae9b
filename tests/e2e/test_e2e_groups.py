"""A section with a sweep and repeats: every member runs once, though the daemon is killed."""

from __future__ import annotations

import yaml
from farmhouse import idea

TELL = """
note('ran', seed=env['ORZE_SEED'], config=open(env['ORZE_IDEA_CONFIG']).read(),
     section=open(sys.argv[sys.argv.index('--ideas-md') + 1]).read())
wait('go')
metrics(val_loss=0.5)
"""
LOOK = "note('saw', beside=sorted(os.listdir(os.path.dirname(out))))\nmetrics(val_loss=0.4)"
SWEEP = "training: {seed: 40, lr: 1}\nsweep: {training.lr: [0.1, 0.2]}"
MEMBERS = [f"idea-003.{number}" for number in (1, 2, 3, 4)]


def test_each_member_runs_once_with_its_own_values_and_seed_though_the_daemon_is_killed(farm):
    group = idea(3, TELL, title="Rates", config=SWEEP, Repeats="2")
    farm.write(idea(1, LOOK, After="idea-003"), group)
    daemon = farm.start(gpus="cpu:2")
    farm.wait(lambda: len(farm.events("ran")) == 2, "the first two members")
    daemon.kill()
    farm.start(gpus="cpu:2")
    farm.flag("go")
    farm.wait_states(COMPLETED=5)

    ran = {event["idea"]: event for event in farm.events("ran")}
    assert sorted(event["idea"] for event in farm.events("ran")) == MEMBERS
    assert [event["idea"] for event in farm.events("ran")][:2] in (MEMBERS[:2], MEMBERS[1::-1])
    configs = [yaml.safe_load(ran[member]["config"])["training"] for member in MEMBERS]
    assert configs == [{"seed": seed, "lr": rate} for rate in (0.1, 0.2) for seed in (40, 41)]
    assert [ran[member]["seed"] for member in MEMBERS] == ["40", "41"] * 2
    assert ran["idea-003.4"]["section"].startswith(
        "## idea-003.4: Rates [training.lr=0.2, seed +1]\n- **Seed**: 1"
    )
    (saw,) = farm.events("saw")
    assert saw["beside"] == ["idea-001", *MEMBERS]
    assert [farm.kinds(member) for member in MEMBERS] == [["CLAIM", "DONE"]] * 4
    assert not (farm.results / "idea-003").exists()
    assert farm.status()["completed"] == 5
