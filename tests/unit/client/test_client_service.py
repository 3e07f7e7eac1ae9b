"""`orze service` with a stand-in for systemctl and loginctl, which notes what it is told."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from orze.client.service import Service, ServiceError, default_name, wanted
from orze.core.errors import ConfigError

STAND_IN = """#!/bin/sh
echo "$0 $*" | sed 's#.*/##' >> "$HOME/told"
case "$*" in
  *"show orze"*) cat "$HOME/state" 2>/dev/null ;;
  *show-user*) echo "Linger=$(cat "$HOME/linger" 2>/dev/null || echo no)" ;;
esac
[ ! -e "$HOME/broken" ] || { cat "$HOME/broken" >&2; exit 1; }
"""


class Host:
    """A host with a user's home, a project and a systemd that does nothing."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.project = home / "my %project"
        (home / "bin").mkdir(parents=True)
        self.project.mkdir()
        for name in ("systemctl", "loginctl"):
            (home / "bin" / name).write_text(STAND_IN)
            (home / "bin" / name).chmod(0o755)
        self.environ = {
            "HOME": str(home),
            "PATH": f"{home}/bin:/bin:/usr/bin",
            "XDG_CONFIG_HOME": f"{home}/conf",
        }
        self.unit = home / "conf/systemd/user/orze-farm.service"

    def service(self) -> Service:
        return Service("farm", self.environ)

    def install(self, *, force: bool = False, flags=(), variables=(), config: Path | None = None) -> bool:
        asked = wanted(config, self.project, name="farm", flags=flags, variables=variables)
        return self.service().install(asked, force=force)

    def told(self) -> list[str]:
        """What systemctl and loginctl were told since the last question."""
        log = self.home / "told"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "home")


def test_a_unit_is_written_enabled_and_started_and_again_it_is_only_started(host):
    assert host.install(flags=["--gpus", "0,1"])
    ctl = "systemctl --user"
    assert host.told() == [
        f"{ctl} daemon-reload", f"{ctl} daemon-reload", f"{ctl} enable orze-farm.service",
        f"{ctl} restart orze-farm.service",
    ]  # fmt: skip
    text = host.unit.read_text()
    assert f'"{sys.executable}" "-P" "-m" "orze" "run" "--gpus" "0,1"' in text
    assert "WorkingDirectory=" + str(host.project).replace("%", "%%") in text
    assert f'Environment="PATH={host.environ["PATH"]}"' in text
    assert host.unit.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in host.unit.parent.iterdir()] == ["orze-farm.service"]
    assert not host.install(flags=["--gpus", "0,1"])
    assert host.told()[-1] == f"{ctl} start orze-farm.service"
    assert host.install(flags=["--gpus", "0"])
    assert host.told()[-1] == f"{ctl} restart orze-farm.service"


def test_the_settings_are_named_where_there_are_some(host):
    (host.project / "orze.yaml").write_text("timeout: 2h\n")
    host.install()
    assert str(host.project / "orze.yaml").replace("%", "%%") in host.unit.read_text()
    other = host.home / "other"
    other.mkdir()
    (other / "farm.yaml").write_text("")
    asked = wanted(Path("../other/farm.yaml"), host.project, name=None, flags=(), variables=())
    assert (asked.name, asked.directory, asked.config_file) == ("other", other, other / "farm.yaml")


@pytest.mark.parametrize(
    ("text", "said"), [("[Unit]\n", "not written by orze"), (None, "is for another directory")]
)
def test_a_unit_of_others_is_left_alone_unless_forced(host, text, said):
    host.install()
    before = text or host.unit.read_text().replace("WorkingDirectory=", "WorkingDirectory=/x")
    host.unit.write_text(before)
    with pytest.raises(ServiceError, match=said):
        host.install()
    assert host.unit.read_text() == before
    assert host.install(force=True)


def test_uninstall_stops_and_removes_ours_and_is_harmless_again(host):
    host.install()
    host.told()
    assert host.service().uninstall(force=False)
    assert host.told() == [
        "systemctl --user disable --now orze-farm.service",
        "systemctl --user daemon-reload",
    ]
    assert not host.unit.exists()
    assert not host.service().uninstall(force=False)
    host.unit.write_text("[Unit]\n")
    with pytest.raises(ServiceError, match="not written by orze"):
        host.service().uninstall(force=False)
    assert host.unit.exists()


def test_where_there_is_no_systemd_nothing_is_written_and_another_way_is_told(host):
    host.environ["PATH"] = str(host.project)
    with pytest.raises(ServiceError, match="@reboot"):
        host.install()
    assert not host.unit.exists()
    status = host.service().status()
    assert (status.installed, status.answers, status.lingers) == (False, False, None)


def test_where_systemd_does_not_answer_nothing_is_written_and_the_reason_is_told(host):
    (host.home / "broken").write_text("Failed to connect to bus: No medium found\n")
    with pytest.raises(ServiceError, match="No medium found; this shell is no login of yours"):
        host.install()
    assert not host.unit.exists()


def test_status_tells_what_systemd_tells(host):
    host.install()
    (host.home / "state").write_text("UnitFileState=enabled\nActiveState=active\nMainPID=77\nNRestarts=2\n")
    (host.home / "linger").write_text("yes")
    found = host.service().status()
    assert (found.installed, found.ours, found.answers, found.enabled) == (True, True, True, True)
    assert (found.active, found.pid, found.restarts, found.lingers) == ("active", 77, 2, True)
    (host.home / "linger").unlink()
    (host.home / "state").write_text("garbage\nMainPID=x\n")
    found = host.service().status()
    assert (found.active, found.pid, found.lingers) == ("", 0, False)


def test_settings_that_need_a_variable_are_refused_until_it_is_given(host):
    (host.project / "orze.yaml").write_text("train_extra_env: {HF_HOME: '${DATA}/hf'}\n")
    host.environ["DATA"] = '/da"ta %'
    with pytest.raises(ConfigError, match="--env NAME") as fault:
        host.install()
    assert "DATA" in fault.value.problems[0]
    assert not host.unit.exists()
    host.install(variables=["DATA"])
    assert 'Environment="DATA=/da\\"ta %%"' in host.unit.read_text()
    with pytest.raises(ServiceError, match="--env NOTHING"):
        host.install(variables=["NOTHING"])


@pytest.mark.parametrize(
    ("directory", "name"),
    [("/a/my project", "my-project"), ("/a/é", "farm"), ("/", "farm"), ("/a/b.c_d-1", "b-c_d-1")],
)
def test_a_farm_is_named_after_its_directory(directory, name):
    assert default_name(Path(directory)) == name


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b", "x" * 101, "a\n"])
def test_a_name_that_no_unit_may_have_is_refused(tmp_path: Path, name):
    with pytest.raises(ServiceError, match="letters"):
        wanted(None, tmp_path, name=name, flags=(), variables=())


def test_the_command_line_installs_tells_and_removes(host, run_python):
    for argv, status in [
        (["service", "install", "--name", "farm", "--", "--gpus", "cpu:2"], 0),
        (["service", "status", "--name", "farm", "--json"], 1),
        (["service", "uninstall", "--name", "farm"], 0),
    ]:
        code = f"""
import os
os.chdir({str(host.project)!r})
from orze.cli.app import main
assert main({argv!r}) == {status}
"""
        printed = run_python(code, **host.environ)
        if "install" in argv:
            assert '"--gpus" "cpu:2"' in host.unit.read_text()
            assert "enable-linger" in printed
        if "--json" in argv:
            assert json.loads(printed)["installed"] is True
    assert not host.unit.exists()
    assert os.listdir(host.unit.parent) == []
