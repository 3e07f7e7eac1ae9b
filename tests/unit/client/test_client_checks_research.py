"""What `orze doctor` says of the proposer: its package, key, price, server or program."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fakes.chat import serving

from orze.client import checks_research
from orze.client.checks import Verdict
from orze.client.checks_research import ask_litellm, check_researcher, judge_model, judge_package, reach
from orze.config.research import Budget, Price, Research
from orze.research.about import Model

OK, WARN, FAIL, SKIP = Verdict.OK, Verdict.WARN, Verdict.FAIL, Verdict.SKIP
ROOT = Path(__file__).parents[3]
KNOWN = Model(name="openai/gpt-4o-mini", known=True, missing=[], priced=True)
LLM = Research(mode="llm", model="openai/gpt-4o-mini")
SERVED = Research(mode="llm", model="openai/mine", api_base="http://localhost:8000/v1")
BOUND = LLM.model_copy(update={"budget": Budget(usd=1.0)})
PRICED = LLM.model_copy(update={"price": Price(input=1.0, output=2.0)})


@pytest.mark.parametrize(
    ("model", "research", "verdict", "said"),
    [
        (KNOWN, LLM, OK, "its key is set, its price is known"),
        (KNOWN | {"missing": ["OPENAI_API_KEY"]}, LLM, FAIL, "needs OPENAI_API_KEY, which is not set here"),
        (KNOWN | {"missing": ["OPENAI_API_KEY"]}, SERVED, OK, "its server is asked without a key"),
        (KNOWN | {"priced": False}, LLM, WARN, "the price of openai/gpt-4o-mini is not known"),
        (KNOWN | {"priced": False}, BOUND, FAIL, "the price of openai/gpt-4o-mini is not known"),
        (KNOWN | {"priced": False}, PRICED, OK, "its price is known"),
        (KNOWN | {"known": False}, LLM, FAIL, "does not know the provider"),
        (KNOWN | {"name": "\x1b[2Jevil\u202e", "known": False}, LLM, FAIL, "␛[2Jevil"),
    ],
)
def test_a_model_needs_a_provider_a_key_and_a_price(
    model: Model, research: Research, verdict: Verdict, said: str
):
    check = judge_model(model, research)
    assert check.verdict is verdict
    assert said in check.sentence
    assert (check.what_to_do == "") == (verdict is OK)


@pytest.mark.parametrize(
    ("research", "verdict", "said"),
    [
        (None, SKIP, "no researcher is configured"),
        (Research(), SKIP, "asks no model and needs no key"),
        (Research(mode="random"), SKIP, "asks no model and needs no key"),
        (Research(mode="command", command=("env", "x")), OK, "research.command runs /"),
        (Research(mode="command", command=("no-such-program",)), FAIL, "there is no program no-such-program"),
        (Research(mode="hybrid", command=("no-such-program",)), FAIL, "there is no program no-such-program"),
    ],
)
def test_who_asks_no_model_is_not_held_to_what_one_needs(
    research: Research | None, verdict: Verdict, said: str
):
    (check,) = check_researcher(research, os.environ)
    assert check.verdict is verdict
    assert said in check.sentence


def test_a_package_that_is_missing_is_named_with_what_installs_it():
    assert judge_package("optuna", is_there=False).what_to_do == "pip install 'orze[optuna]'"
    assert judge_package("optuna", is_there=True).verdict is OK


def test_a_server_is_reached_if_it_answers_at_all_and_its_password_is_not_shown():
    with serving() as chat:
        assert reach(chat.address, {}).verdict is OK  # it knows no GET, and says so
        assert chat.asked == []
    gone = reach(chat.address.replace("//", "//ada:hunter22@"), {})
    assert gone.verdict is FAIL
    assert "does not answer" in gone.sentence
    assert "hunter22" not in gone.sentence


def test_a_release_that_steals_keys_is_refused_before_it_is_loaded(tmp_path: Path, monkeypatch):
    (tmp_path / "litellm-1.82.8.dist-info").mkdir()
    (tmp_path / "litellm-1.82.8.dist-info" / "METADATA").write_text("Name: litellm\nVersion: 1.82.8\n")
    (tmp_path / "litellm.py").write_text(f"open({str(tmp_path / 'loaded')!r}, 'w')\n")
    monkeypatch.setattr(checks_research, "_CODE", f"{tmp_path}:{ROOT}")
    about = ask_litellm(["openai/x"], os.environ)
    assert about["fault"].startswith("litellm 1.82.8 is a release with code that steals keys: remove it")
    assert not (tmp_path / "loaded").exists()
    (check,) = check_researcher(LLM, os.environ)
    assert (check.verdict, check.sentence) == (FAIL, about["fault"])
