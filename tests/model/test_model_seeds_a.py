"""A thousand random schedules of the whole farm; the other thousand are in the file beside this one."""

import pytest

from tests.model.commands import campaign

FIRST, RUNS = 0, 1000


@pytest.mark.timeout(600)
def test_a_thousand_random_schedules_break_no_promise():
    ended = campaign(str(RUNS), "--first", str(FIRST), "--workers", "1")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "violations: 0" in ended.stdout
