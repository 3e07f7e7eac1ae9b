"""A real LiteLLM against a server of the test, which behaves as badly as providers do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from digest_examples import SETTINGS, round_job, run, study_of
from fakes.chat import Chat, completion, fails, hangs_up, never_ends, says, sends, serving

from orze.research.llm import Llm
from orze.research.proposal import LONGEST_REPLY, SCHEMA
from orze.research.proposers import ProposerError
from tests.needs import needs

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "bench"))

from scripted import answer  # noqa: E402 - it lies beside the benchmarks

KEY = "sk-verysecret-0123456789"
GOOD = '{"ideas": []}'
NOW = {"Retry_After": "0.01"}
# What every process of these tests does first: write down to where it connects, and which names it looks up.
WATCH = """
import os, sys
def heard(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        with open(os.environ["CONNECTIONS"], "a") as stream:
            print(*(args[1] if event == "socket.connect" else args[:2]), file=stream)
sys.addaudithook(heard)
"""
# Loading LiteLLM takes seconds: one process answers all questions.
HELPER = """
import json, os, sys
from orze.research.about import about
from orze.research.call import answer
out = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_RDWR), 1)
for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps(about(asked) if isinstance(asked, list) else answer(asked)), file=out, flush=True)
os._exit(0)
"""

pytestmark = needs("litellm")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("llm")
    (made / "sitecustomize.py").write_text(WATCH)
    return made


@pytest.fixture(scope="module", autouse=True)
def environ(home: Path) -> Iterator[dict[str, str]]:
    """Of all processes that are started here; a directory of the test comes before the code's own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            patch.delenv(name)
        patch.delenv("ANTHROPIC_API_KEY", raising=False)
        patch.setenv("OPENAI_API_KEY", KEY)
        patch.setenv("CONNECTIONS", str(home / "connections"))
        yield {**os.environ, "PYTHONPATH": f"{home}:{ROOT}"}


@pytest.fixture(scope="module", autouse=True)
def helper(home: Path, environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HELPER], cwd=home, env=environ, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        yield process
        process.stdin.close()
        noise = process.stderr.read()
    assert KEY not in noise


@pytest.fixture(scope="module")
def chat() -> Iterator[Chat]:
    with serving() as server:
        yield server


@pytest.fixture
def ask(helper: subprocess.Popen[str], chat: Chat) -> Any:
    def asked(**more: Any) -> dict[str, Any]:
        messages = [{"role": "system", "content": "Be good."}, {"role": "user", "content": "Propose."}]
        question = {"model": "openai/local", "api_base": chat.address, "messages": messages,
                    "reply_tokens": 500, "seconds": 20.0, "price": None}  # fmt: skip
        return told(helper, question | more)

    return asked


def told(helper: subprocess.Popen[str], question: Any) -> Any:
    """One line there, one line back."""
    helper.stdin.write(json.dumps(question) + "\n")
    helper.stdin.flush()
    return json.loads(helper.stdout.readline())


def test_a_reply_that_never_ends_is_ended_with_its_time_and_counts_in_full(chat: Chat):
    chat.will(never_ends)
    settings = SETTINGS | {
        "api_base": chat.address,
        "round_timeout": 7.0,
        "price": {"input": 1.0, "output": 2.0},
    }
    study = study_of(0)
    with pytest.raises(ProposerError, match=r"openai/local: no whole answer within \d s") as caught:
        Llm(study, settings).propose(study, 2, [], "")
    assert caught.value.cost.tokens > 4000
    assert 0.01 < caught.value.cost.usd < 0.05


def test_the_key_the_texts_and_the_bound_go_to_the_server_and_what_was_used_comes_back(ask: Any, chat: Chat):
    chat.will(says(GOOD))
    answer = ask(price={"input": 1.0, "output": 2.0})
    assert answer == {
        "text": GOOD, "fault": "", "passing": False, "cut": False, "tokens": 1500, "usd": 0.0018
    }  # fmt: skip
    (body,), (headers,) = chat.asked, chat.headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert body["max_tokens"] == 500
    assert [message["content"] for message in body["messages"]] == ["Be good.", "Propose."]
    assert "tools" not in body


def test_a_model_with_a_known_price_is_charged_by_it_and_held_to_the_schema(ask: Any, chat: Chat):
    chat.will(says(GOOD))
    assert ask(model="openai/gpt-4o-mini")["usd"] == pytest.approx(1200 * 0.15e-6 + 300 * 0.6e-6)
    assert chat.asked[0]["response_format"]["json_schema"]["schema"] == SCHEMA


def test_a_price_that_nobody_knows_is_none_and_tokens_that_nobody_told_count_as_the_most(
    ask: Any, chat: Chat
):
    chat.will(says(GOOD, usage=None))
    unknown = ask()
    assert unknown["usd"] is None
    assert 500 + 16 < unknown["tokens"] < 4000
    assert ask(price={"input": 0.0, "output": 1.0})["usd"] == pytest.approx(500e-6)


def test_a_server_that_cannot_hold_to_a_schema_is_asked_again_without(ask: Any, chat: Chat):
    chat.will(fails(400, "response_format is not supported"), says(GOOD))
    assert ask(model="openai/gpt-4o-mini")["text"] == GOOD
    assert ["response_format" in body for body in chat.asked] == [True, False]


@pytest.mark.parametrize(
    "act", [fails(500, "oops", **NOW), fails(429, "slow down", **NOW)], ids=["500", "429"]
)
def test_what_passes_by_itself_is_asked_again(ask: Any, chat: Chat, act: Any):
    chat.will(act, act, says(GOOD))
    answer = ask()
    assert (answer["text"], answer["tokens"]) == (GOOD, 1500)
    assert len(chat.asked) == 3


EMPTY = completion("", choices=[])
REFUSED = completion(None, message={"role": "assistant", "content": None, "refusal": "I cannot help."})


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (says("I cannot help with that."), "I cannot help with that."),
        (says(None), ""),
        (sends(200, {**completion(""), "choices": []}), ""),
        (sends(200, REFUSED), ""),
        (says('{"ideas": [{"ti'), '{"ideas": [{"ti'),
        (says(f"your key is {KEY}"), "your key is ***"),
    ],
    ids=["refusal", "null", "no choices", "refusal field", "malformed", "echo of the key"],
)
def test_whatever_came_is_handed_on_for_the_check_to_refuse_and_is_paid_for(
    ask: Any, chat: Chat, act: Any, text: str
):
    chat.will(act)
    answer = ask(price={"input": 1.0, "output": 0.0})
    assert (answer["text"], answer["fault"], answer["tokens"]) == (text, "", 1500)
    assert answer["usd"] == pytest.approx(0.0012)


def test_a_reply_that_was_cut_off_is_told_from_a_malformed_one(ask: Any, chat: Chat):
    chat.will(says('{"ideas": [', finish_reason="length"))
    assert ask()["cut"]


def test_of_a_reply_of_50_mb_no_more_is_kept_than_anybody_would_read(ask: Any, chat: Chat):
    chat.will(says("x" * 50_000_000))
    assert len(ask()["text"]) == LONGEST_REPLY + 1


@pytest.mark.parametrize(
    ("act", "tries", "said", "costs"),
    [
        (fails(500, f"broken {KEY}", **NOW), 3, "the provider failed", False),
        (fails(429, "slow", Retry_After="4000"), 1, "allows no more requests", False),
        (
            fails(401, "Incorrect API key provided: sk-very****6789"),
            1,
            "OPENAI_API_KEY|refuses the key",
            False,
        ),
        (fails(404, "no model"), 1, "no such model there", False),
        (fails(400, "bad"), 1, "refuses the question", False),
        (sends(200, "<html>Welcome</html>"), 1, "broke off, or was none", True),
        (hangs_up, 1, "broke off, or was none", True),
    ],
    ids=["500", "429", "401", "404", "400", "html", "cut connection"],
)
def test_a_fault_is_one_sentence_without_a_key_and_costs_only_what_it_may_have(
    ask: Any, chat: Chat, act: Any, tries: int, said: str, costs: bool
):
    chat.will(act)
    answer = ask(price={"input": 1.0, "output": 1.0})
    assert said.split("|")[-1] in answer["fault"]
    assert answer["fault"].startswith("openai/local: ")
    assert "sk-very" not in answer["fault"]
    assert "6789" not in answer["fault"]
    assert len(chat.asked) == tries
    assert (answer["tokens"] > 500, answer["usd"] > 0) == (costs, costs)


def test_a_server_that_is_not_there_is_told_without_the_password_in_its_address(ask: Any):
    answer = ask(api_base="http://ada:hunter22@127.0.0.1:9/v1", seconds=0.5)
    assert "no connection" in answer["fault"]
    assert "hunter22" not in answer["fault"]
    assert (answer["tokens"], answer["usd"]) == (0, 0.0)


def test_a_round_with_a_model_leaves_ideas_and_a_ledger_and_no_key_in_any_file(chat: Chat, tmp_path: Path):
    def scripted(handler: Any) -> None:
        text = "\n".join(message["content"] for message in chat.asked[-1]["messages"])
        says(answer(text).replace("better than", f"{KEY}, better than"), usage=(5000, 500))(handler)

    chat.will(scripted)
    price = {"input": 1.0, "output": 2.0}
    told = run(round_job(tmp_path, api_base=chat.address, price=price))
    assert (told["state"], told["new"], told["error"]) == ("ended", 3, "")
    assert (told["tokens"], told["usd"]) == (5500, pytest.approx(0.006))
    assert told["usd"] < told["reserved"]["usd"]
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert sum("∗∗∗, better than".encode() in data for data in kept) == 3
    assert not any(KEY.encode() in data for data in kept)


def test_what_litellm_knows_of_models_is_told_without_asking_them(helper: Any, chat: Chat):
    chat.will(says(GOOD))
    found = told(helper, ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5", "openai/mine", "nonsense"])
    names = ("known", "missing", "priced")
    assert [tuple(model[name] for name in names) for model in found["models"]] == [
        (True, [], True), (True, ["ANTHROPIC_API_KEY"], True), (True, [], False), (False, [], False),
    ]  # fmt: skip
    assert chat.asked == []


def test_nothing_but_the_server_was_ever_connected_to(ask: Any, chat: Chat, home: Path):
    chat.will(says(GOOD))
    ask()
    heard = (home / "connections").read_text().splitlines()
    hosts = {line.split()[0] for line in heard}
    assert f"127.0.0.1 {chat.server_port}" in heard
    assert hosts == {"127.0.0.1"}
