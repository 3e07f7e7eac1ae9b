"""A model is asked through a real LiteLLM, an agent through real processes; nobody waits for either."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.chat import Chat, never_ends, says, serving

from orze.config.refine import Llm
from orze.refine.asking import Answer, Asking, ask_agent, ask_model, hypothesis_of, most_of, unpriced
from orze.research.faults import passes, told
from orze.research.hiding import hidden, without_values
from orze.research.prompt import Prompt
from tests.needs import needs

ROOT = Path(__file__).parents[3]
KEY = "abcdef-0123456789"
PROMPT = Prompt("Be good.", f"The log says {KEY}.")
PRICE = {"input": 1.0, "output": 2.0}


@pytest.fixture
def environ() -> dict[str, str]:
    """A user's environment whose key stands in a variable of an odd name."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    kept.pop("OPENAI_API_KEY", None)
    return {**kept, "ODD": KEY, "MY_TOKEN": "token-of-mine"}


@pytest.fixture
def chat() -> Iterator[Chat]:
    with serving() as server:
        yield server


def until(happened: Callable[[], object], seconds: float = 60.0) -> None:
    """Look until something has happened."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def answered(asking: Asking) -> Answer:
    """The answer, looked for without waiting in `poll`."""
    until(asking.poll)
    answer = asking.poll()
    assert answer is not None
    return answer


def llm(chat: Chat | None = None, **more: object) -> Llm:
    address = {"api_base": chat.address} if chat else {}
    return Llm.model_validate(
        {"model": "openai/local", "api_key_env": "ODD", "timeout": 30, "price": PRICE} | address | more
    )


# A model


@needs("litellm")
def test_a_model_gets_key_and_prompt_and_its_code_comes_back_as_it_is(chat: Chat, environ: dict[str, str]):
    code = "from huggingface_hub import hf_hub_download\nurl = 'http://a@b'\n"
    chat.will(says(f"{code}# {KEY}"))
    begun = time.monotonic()
    asking = ask_model(llm(chat), PROMPT, environ)
    assert asking.poll() is None
    assert time.monotonic() - begun < 2
    good = answered(asking)
    assert good == Answer(text=f"{code}# ***", usd=pytest.approx(1200e-6 + 600e-6), tokens=1500)
    (body,), (headers,) = chat.asked, chat.headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert [message["content"] for message in body["messages"]] == ["Be good.", "The log says ***."]
    assert (body["max_tokens"], "response_format" in body) == (8000, False)


def test_a_question_that_is_given_up_counts_with_all_that_it_may_have_cost(
    chat: Chat, environ: dict[str, str]
):
    chat.will(never_ends)
    asking = ask_model(llm(chat), PROMPT, environ)
    answer = asking.end()
    assert (answer.usd, answer.tokens) == most_of(llm(chat), PROMPT)
    assert answer.tokens > 8000
    assert answer.fault == "openai/local: asking was given up"
    assert answer == asking.poll() == asking.end()
    with pytest.raises(ChildProcessError):
        os.waitpid(asking._process.pid, os.WNOHANG)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"model": None}, "no model is named: set llm.model"), ({"api_key_env": "NONE"}, "NONE is not set")],
    ids=["no model", "no key"],
)
def test_what_is_missing_is_said_and_costs_nothing(
    settings: dict[str, object], said: str, environ: dict[str, str]
):
    answer = answered(ask_model(llm(**settings), PROMPT, environ))
    assert answer.fault.startswith(said)
    assert (answer.passing, answer.usd, answer.tokens) == (False, 0.0, 0)


def test_what_it_may_cost_is_every_byte_and_the_longest_answer():
    usd, tokens = most_of(llm(reply_tokens=500), Prompt("a" * 1000, "ü" * 1000))
    assert usd is not None
    assert 3500 <= tokens < 5000
    assert usd == pytest.approx((tokens - 500) * 1e-6 + 500 * 2e-6)


def test_a_price_in_the_settings_is_known():
    assert unpriced(llm(model="nobody/knows")) == unpriced(llm(model=None, price=None)) == []


def error(name: str, status: int | None, text: str = "") -> Exception:
    """As LiteLLM raises it."""
    made = type(name, (Exception,), {"status_code": status})(text)
    assert isinstance(made, Exception)
    return made


@pytest.mark.parametrize(
    ("fault", "passing"),
    [
        (error("RateLimitError", 429), True),
        (error("RateLimitError", 429, "You exceeded your quota: insufficient_quota"), False),
        (error("InternalServerError", 500), True),
        (error("ServiceUnavailableError", 503), True),
        (error("Timeout", 408), True),
        (error("ConnectError", None), True),
        (error("InvalidURL", None), False),
        (error("AuthenticationError", 401), False),
        (error("NotFoundError", 404), False),
        (error("BadRequestError", 400), False),
        (error("ValueError", None), False),
    ],
    ids=lambda value: f"{type(value).__name__} {getattr(value, 'status_code', value)}",
)
def test_faults_that_pass_by_themselves_are_told_from_those_that_do_not(fault: Exception, passing: bool):
    assert passes(fault) is passing


def test_a_fault_names_the_keys_of_the_settings_that_the_user_has():
    said = told(error("NotFoundError", 404, "no"), "m", {}, block="llm")
    assert "check llm.model and llm.api_base" in said


def test_in_code_only_values_of_secrets_are_hidden():
    environ = {"MY_KEY": KEY, "TOKENIZERS_PARALLELISM": "parallel", "TOKEN": "short"}
    code = f"hf_hub_download('{KEY}', parallel, 'short')"
    assert without_values(code, environ) == "hf_hub_download('***', parallel, 'short')"
    assert hidden(code, environ) == "***('***', parallel, 'short')"


# An agent


def agent(directory: Path, line: str, environ: dict[str, str], seconds: float = 60.0) -> Asking:
    return ask_agent(["/bin/sh", "-c", line], PROMPT, str(directory), environ, seconds)


def test_an_agent_works_in_its_directory_with_the_users_environment_and_tells_its_hypothesis(
    tmp_path: Path, environ: dict[str, str]
):
    line = "cat > told; echo working on $MY_TOKEN; echo 'HYPOTHESIS: less is more'; echo bye"
    answer = answered(agent(tmp_path, line, environ))
    assert answer == Answer(text="working on ***\nHYPOTHESIS: less is more\nbye\n", usd=None)
    assert hypothesis_of(answer.text) == "less is more"
    assert (tmp_path / "told").read_text() == "Be good.\nThe log says abcdef-0123456789."


@pytest.mark.parametrize(
    ("text", "hypothesis"),
    [
        ("a\nHYPOTHESIS: one\nHYPOTHESIS: two\nlast", "two"),
        ("**HYPOTHESIS:** bold\n", "bold"),
        ("first\n- the last line.\n\n", "the last line."),
        ("\n", ""),
        ("HYPOTHESIS: \x1b[31mred" + "x" * 2000, "red" + "x" * 596 + "…"),
    ],
)
def test_the_hypothesis_is_what_the_agent_names_so_or_its_last_line(text: str, hypothesis: str):
    assert hypothesis_of(text) == hypothesis


@pytest.mark.parametrize(
    ("line", "seconds", "said", "passing"),
    [
        ("echo no tokens left; exit 3", 60, "/bin/sh: it ended with status 3: no tokens left", True),
        ("kill -9 $$", 60, "/bin/sh: it ended with signal 9", True),
        ("trap '' TERM; exec sleep 60", 0.2, "/bin/sh: it did not end within 0 s", True),
    ],
    ids=["status", "signal", "time"],
)
def test_an_agent_that_fails_is_told(
    tmp_path: Path, environ: dict[str, str], line: str, seconds: float, said: str, passing: bool
):
    answer = answered(agent(tmp_path, line, environ, seconds))
    assert (answer.fault, answer.passing, answer.usd) == (said, passing, None)


def test_an_agent_that_is_not_there_is_told(tmp_path: Path, environ: dict[str, str]):
    answer = answered(ask_agent(["no-such-agent"], PROMPT, str(tmp_path), environ, 60))
    assert (answer.fault, answer.passing) == (
        "no-such-agent: there is no such program",
        False,
    )


def test_of_what_an_agent_prints_the_end_is_kept(tmp_path: Path, environ: dict[str, str]):
    answer = answered(agent(tmp_path, "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo the end", environ))
    assert (len(answer.text), answer.text[-9:], answer.fault) == (64 << 10, "\nthe end\n", "")


HIDES = "setsid sh -c 'trap \"\" TERM; echo $$ > pid; exec sleep 600' & while [ ! -s pid ]; do :; done; {}"


def process_in(directory: Path) -> int:
    """The process that an agent left in another session."""
    until(lambda: (directory / "pid").exists() and (directory / "pid").read_text().strip())
    return int((directory / "pid").read_text())


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_what_an_agent_leaves_in_the_background_is_ended_before_its_answer_comes(
    tmp_path: Path, environ: dict[str, str]
):
    answer = answered(agent(tmp_path, HIDES.format("exit"), environ))
    assert answer.fault == ""
    assert is_gone(process_in(tmp_path))


def test_an_agent_that_is_given_up_is_gone_with_all_that_it_started(tmp_path: Path, environ: dict[str, str]):
    asking = agent(tmp_path, HIDES.format("sleep 600"), environ)
    pid = process_in(tmp_path)
    answer = asking.end()
    assert is_gone(pid)
    assert (answer.fault, answer.passing) == ("/bin/sh: asking was given up", True)


def test_an_agent_does_not_outlive_who_asked(tmp_path: Path, environ: dict[str, str]):
    code = (
        "import os, sys\nfrom orze.refine.asking import ask_agent\nfrom orze.research.prompt import Prompt\n"
        "words, nothing = ['/bin/sh', '-c', sys.argv[1]], Prompt('', '')\n"
        "asked = ask_agent(words, nothing, sys.argv[2], dict(os.environ), 60)\n"
        "sys.stdin.read()"
    )
    words = [sys.executable, "-c", code, HIDES.format("sleep 600"), str(tmp_path)]
    with subprocess.Popen(words, env={**environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE) as asker:
        pid = process_in(tmp_path)
        asker.send_signal(signal.SIGKILL)
    until(lambda: is_gone(pid))
    assert asker.returncode == -signal.SIGKILL
