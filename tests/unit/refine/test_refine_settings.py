"""revis.yaml: the keys, their defaults, and what is said of a file that is at fault."""

import re
from pathlib import Path

import pytest
import yaml

from orze.config import refine
from orze.config.outward import Block
from orze.config.refine import Refine, Revis
from orze.core.errors import ConfigError
from orze.refine.detect import Found
from orze.refine.settings import (
    FORM,
    MODELS,
    load_revis,
    model_for,
    smaller_is_better,
    terms_of,
    terms_of_revis,
)
from orze.refine.setup import filled, revis_yaml

KEYS = {"ANTHROPIC_API_KEY": "sk-ant-s3cret"}
DOCUMENT = """\
executor:
  type: local  # or 'ssh' for remote GPU

entry:
  train: "python train.py"  # your training command

metrics:
  primary: val_loss  # must match a key in your eval.json
  minimize: true     # true for loss, false for accuracy
  # target: 0.1      # optional: stop early if reached

guardrails:
  max_run_duration: 2h
  plateau_runs: 3
"""
LEAST = "entry: {train: python train.py}\nmetrics: {primary: val_loss}\n"


def load(tmp_path: Path, text: str, environ=KEYS) -> Revis:
    (tmp_path / "revis.yaml").write_text(text)
    return load_revis(None, tmp_path, environ)


def problems(tmp_path: Path, text: str, environ=KEYS) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, environ)
    return caught.value.problems


def test_the_file_of_the_document_loads(tmp_path):
    revis = load(tmp_path, DOCUMENT)
    assert (revis.entry.train, revis.metrics.primary, revis.metrics.minimize) == (
        "python train.py",
        "val_loss",
        True,
    )
    assert (revis.guardrails.max_run_duration, revis.guardrails.plateau_runs) == (7200, 3)
    assert revis.project_dir == tmp_path
    assert revis.llm.model == MODELS["ANTHROPIC_API_KEY"]


def test_what_is_left_out_has_the_defaults_of_the_document(tmp_path):
    revis, whole = load(tmp_path, LEAST), load(tmp_path, DOCUMENT)
    assert revis.guardrails == whole.guardrails
    assert (revis.executor, revis.metrics) == (whole.executor, whole.metrics)
    assert (revis.parallel, revis.repeats, revis.guardrails.max_failures) == (1, 1, 3)
    assert not revis.budget.model_dump(exclude_none=True)


def test_the_block_of_a_farm_has_the_same_defaults():
    inside, outside = Refine(), Revis(project_dir=Path("/"), entry={"train": "x"}, metrics={"primary": "a"})
    shared = Refine.model_fields.keys() & Revis.model_fields.keys()
    assert {name: getattr(inside, name) for name in shared} == {
        name: getattr(outside, name) for name in shared
    }
    assert shared == refine.Loop.model_fields.keys()


def test_the_terms_are_those_of_the_settings(tmp_path):
    revis = load(
        tmp_path, LEAST + "repeats: 2\nparallel: 3\nguardrails: {plateau_runs: 5, divergence_runs: 7}\n"
    )
    terms = terms_of_revis(revis)
    assert (terms.metric, terms.ascending, terms.target) == ("val_loss", True, None)
    assert (terms.repeats, terms.parallel, terms.plateau_runs, terms.divergence_runs) == (2, 3, 5, 7)
    assert terms_of(Refine(target=0.5), metric="acc", ascending=False, target=0.5).target == 0.5


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("smok: x", "3: unknown key 'smok' — did you mean 'smoke'?"),
        ("plateau_runs: 3", "3: unknown key 'plateau_runs' — it belongs under guardrails"),
        ("llm: {modle: x}", "3: unknown key 'modle' in llm — did you mean 'model'?"),
        ("project_dir: /", "3: unknown key 'project_dir' — did you mean 'protected'?"),
        ("zz: 1", "3: unknown key 'zz' — `revis init` writes a file with all of them"),
        ("guardrails: {max_run_duration: 2 hours}", "3: guardrails.max_run_duration must be a time"),
        ("guardrails: {plateau_runs: -1}", "3: guardrails.plateau_runs must be 0 or more, not -1"),
        ("llm: {price: {input: 1}}", "3: llm.price needs the key output"),
        ("llm: {api_base: 'http://localhost/v1'}", "3: llm.api_base needs the key model beside it"),
        ("llm: {model: m}\nagent: a", "4: agent is given beside llm.model"),
        ("agent: a\nbudget: {usd: 1}", "4: budget cannot hold usd or tokens with an agent"),
        ("agent: 'a \"b'", "3: agent must be a list of words, or one text whose quotes are closed"),
        ("executor: {type: cloud}", "3: executor.type must be 'local', 'tmux', 'ssh' or 'farm'"),
        ("executor: {type: ssh, host: gpu}", "3: executor needs the key work_dir with type ssh"),
        ("executor: {host: gpu}", "3: executor has the key host, which is for type ssh; its type is local"),
        ("executor: {config: x.yaml}", "3: executor has the key config, which is for type farm"),
        ("protected: [../x]", "3: protected[0] must be a pattern of files"),
        ("budget: 4h", "3: budget must be a block of keys"),
        ("parallel: 0", "3: parallel must be 1 or more"),
        ("repeats: 2.5", "3: repeats must be a whole number"),
        ("llm:", "3: llm has no value; give it one or remove the line"),
    ],
)
def test_a_fault_is_one_plain_sentence_with_its_line(tmp_path, line, told):
    (one,) = problems(tmp_path, LEAST + line + "\n")
    assert one.startswith(f"revis.yaml:{told}")


def test_all_faults_are_told_at_once(tmp_path):
    assert problems(tmp_path, "entry: {tran: x}\nexecutor: {type: 3}\n") == [
        "revis.yaml:1: entry needs the key train",
        "revis.yaml:1: needs the key metrics",
        "revis.yaml:1: unknown key 'tran' in entry — did you mean 'train'?",
        "revis.yaml:2: executor.type must be 'local', 'tmux', 'ssh' or 'farm', not 3",
    ]


def test_a_file_that_is_not_there_says_what_writes_it(tmp_path):
    with pytest.raises(ConfigError, match="no such file; `revis init` writes one"):
        load_revis(None, tmp_path, KEYS)


def test_a_command_is_needed_unless_a_farm_has_its_own(tmp_path):
    metrics = "metrics: {primary: val_loss}\n"
    assert "entry needs the key train" in problems(tmp_path, metrics)[0]
    revis = load(tmp_path, metrics + "executor: {type: farm, config: ../farm/orze.yaml}\n")
    assert (revis.entry, revis.executor.config) == (None, tmp_path / "../farm/orze.yaml")
    both = problems(tmp_path, LEAST + "executor: {type: farm}\n")
    assert both == ["revis.yaml:1: entry is told by the farm's own settings; remove it"]


@pytest.mark.parametrize("key", ["api_key", "token", "x_api_key", "OPENAI_API_KEY", "secret_key", "password"])
def test_a_key_to_an_account_is_refused_and_never_shown(tmp_path, key):
    for text in (f"llm: {{{key}: sk-s3cret}}", f"{key}: sk-s3cret"):
        (one,) = problems(tmp_path, f"{LEAST}{text}\n")
        assert "set it in the environment" in one
        assert "s3cret" not in one


def test_a_key_in_the_place_of_its_variables_name_is_not_shown(tmp_path):
    (one,) = problems(tmp_path, LEAST + "llm: {api_key_env: sk-s3cret}\n")
    assert "must be the name of an environment variable" in one
    assert "s3cret" not in one


ODD = [
    "",
    "~",
    "true",
    "-1",
    "1e400",
    ".nan",
    "9" * 30,
    "'\\0'",
    "[]",
    "[~]",
    "[1, a]",
    "{}",
    "{a: 1}",
    "2h",
    "' '",
]


@pytest.mark.parametrize("value", [*ODD, "x" * 5000, "a: b: c", "${NONE}"])
def test_no_key_meets_an_odd_value_with_anything_but_plain_words(tmp_path, value):
    for key in FORM.known():
        text = value
        for part in reversed(key.split(".")):
            text = f"{{{part}: {text}}}"
        try:
            load(tmp_path, text)
        except ConfigError as error:
            assert all(one.isprintable() and len(one) < 300 for one in error.problems)
            assert not any("cannot be used" in one or "Input should" in one for one in error.problems)


def test_the_remote_machine_of_the_document_is_understood(tmp_path):
    there = "{type: ssh, host: gpu-server.example.com, user: ubuntu, port: 22, key_path: ~/.ssh/id_rsa,"
    revis = load(tmp_path, f"{LEAST}executor: {there} work_dir: /home/ubuntu/project, gpus: 0}}\n")
    assert (revis.executor.user, revis.executor.port, revis.executor.gpus) == ("ubuntu", 22, "0")
    assert revis.executor.key_path == Path("~/.ssh/id_rsa").expanduser()


@pytest.mark.parametrize(
    ("metric", "smaller"),
    [
        ("val_loss", True),
        ("test/rmse", True),
        ("accuracy", False),
        ("val_acc", False),
        ("eval.f1", False),
        ("mAP", False),
        ("mean_reward", False),
        ("quality", None),
        ("x", None),
    ],
)
def test_the_direction_is_told_from_the_metrics_name_or_asked_for(tmp_path, metric, smaller):
    assert smaller_is_better(metric) is smaller
    text = f"entry: {{train: x}}\nmetrics: {{primary: {metric}}}\n"
    if smaller is None:
        assert problems(tmp_path, text)[0].startswith("revis.yaml:2: metrics needs the key minimize: ")
    else:
        assert load(tmp_path, text).metrics.minimize is smaller


def test_the_file_wins_over_the_metrics_name(tmp_path):
    text = "entry: {train: x}\nmetrics: {primary: accuracy, minimize: true}\n"
    assert terms_of_revis(load(tmp_path, text)).ascending


def test_the_model_is_that_of_the_file_or_of_the_key_that_is_set(tmp_path):
    assert load(tmp_path, LEAST + "llm: {model: openai/x}\n", {}).llm.model == "openai/x"
    for variable, model in MODELS.items():
        assert load(tmp_path, LEAST, {variable: "k"}).llm.model == model
    assert load(tmp_path, LEAST + "agent: a --b\n", {}).llm.model is None
    assert "no model is named" in problems(tmp_path, LEAST, {})[0]
    assert model_for({"OPENAI_API_KEY": ""}) is None


# ---- the file that `revis init` writes

COMMENTED = re.compile(r"^( *)#((?:  )*(?:- |[\w\"*-]+:).*)$", re.MULTILINE)
ANSWERS = {
    "here": {},
    "there": {"place": "gpu-1", "work_dir": "/home/ada/project"},
}


def written(which: str, model: str | None = None) -> str:
    return revis_yaml(filled(Found(Path("/p")), ANSWERS[which]), model)


def keys_of(value: object, above: str = "") -> set[str]:
    if not isinstance(value, dict):
        return set()
    return {f"{above}{k}" for k in value}.union(
        *(keys_of(v, f"{above}{k}.") for k, v in value.items()), set()
    )


@pytest.mark.parametrize("which", ANSWERS)
def test_the_file_that_is_written_loads(tmp_path, which):
    revis = load(tmp_path, written(which, "openai/x"))
    assert revis.llm.model == "openai/x"
    assert revis.executor.type == ("local" if which == "here" else "ssh")
    assert load(tmp_path, written(which)).llm.model == MODELS["ANTHROPIC_API_KEY"]


def test_every_key_is_in_the_file_that_is_written():
    shown = set().union(*(keys_of(yaml.safe_load(COMMENTED.sub(r"\1\2", written(w)))) for w in ANSWERS))
    free = {"entry.env.OMP_NUM_THREADS"}
    assert shown - free == FORM.known().keys() - {"executor.config"}


@pytest.mark.parametrize("which", ANSWERS)
def test_every_commented_key_loads_when_it_is_uncommented_alone(tmp_path, which):
    lines = written(which).splitlines()
    starts = [n for n, line in enumerate(lines) if re.match(r" *#[\w]+:", line)]
    assert len(starts) > 20
    for start in starts:
        end = start + 1
        while end < len(lines) and re.match(r" *#  [\w-]", lines[end]):
            end += 1
        block = [COMMENTED.sub(r"\1\2", line) for line in lines[start:end]]
        text = "\n".join([*lines[:start], *block, *lines[end:]])
        if block[0].strip().startswith("session:"):
            text = text.replace("type: local", "type: tmux")
        if block[0].strip().startswith("api_base:"):
            text = text.replace("  #model: ", "  model: ", 1)
        load(tmp_path, text)


def test_every_key_has_a_default_that_is_written_as_it_is(tmp_path):
    """A value that the text shows as the default of a count is the default."""
    text = COMMENTED.sub(r"\1\2", written("here")).replace("type: local", "type: tmux")
    revis, least = (
        load(tmp_path, text.replace("agent: my-agent --non-interactive\n", "")),
        load(tmp_path, LEAST),
    )
    assert (revis.parallel, revis.repeats) == (least.parallel, least.repeats)
    assert revis.guardrails.max_failures == least.guardrails.max_failures
    assert (revis.llm.reply_tokens, revis.llm.timeout) == (least.llm.reply_tokens, least.llm.timeout)


def test_every_block_is_one_of_the_form():
    blocks = {b for b in vars(refine).values() if isinstance(b, type) and issubclass(b, Block)}
    others = {refine.Loop, refine.Refine, refine.Executor, Block}
    assert blocks - others == set(FORM.blocks.values())


def test_every_key_has_a_description():
    source = Path(refine.__file__).read_text()
    keys = re.findall(r"^    (\w+): .+(?:\n    .+\n    \})?\n    (.{3})", source, re.MULTILINE)
    assert len(keys) > 30
    assert [name for name, then in keys if then != '"""' and name not in ("of_ssh",)] == []
