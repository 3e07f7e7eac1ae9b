"""orze.yaml.example and the schema hold the same keys, and the file loads in every form."""

import re
from pathlib import Path

import yaml

from orze.config.load import load_settings
from orze.config.schema import Settings, known_keys
from orze.core.states import UNCOUNTED, Cause

EXAMPLE = Path(__file__).parents[3] / "orze.yaml.example"
# A setting that is commented out: `#key: value`, and what is indented below it by two or four spaces.
COMMENTED = re.compile(r"^( *)#((?:  )*(?:- |[\w\"*-]+:|# ).*)$", re.MULTILINE)
# Each of these stands in the place of another key, and is refused beside it.
INSTEAD = re.compile(r"^ *(train_command|pre_command|agent): .*$", re.MULTILINE)


def uncommented() -> str:
    return COMMENTED.sub(r"\1\2", EXAMPLE.read_text())


def load(text: str, tmp_path: Path) -> Settings:
    (tmp_path / "orze.yaml").write_text(text)
    environ = {"HOME": "/home/ada", "SLACK_URL": "slack://a/b/c", "MAIL_USER": "ada", "MAIL_PASSWORD": "x"}
    return load_settings(None, {}, tmp_path, environ)


def keys_of(value: object, above: str = "") -> set[str]:
    """Dotted keys as known_keys() writes them."""
    if isinstance(value, list):
        return set().union(*(keys_of(item, f"{above}[]") for item in value), set())
    if not isinstance(value, dict):
        return set()
    found: set[str] = set()
    for word, inner in value.items():
        name = "on" if word is True else word  # YAML 1.1 takes the bare word for a truth value
        key = "hosts.*" if above == "hosts" else f"{above}.{name}".removeprefix(".")
        found |= {key} | keys_of(inner, key)
    return found


def test_the_example_as_shipped_is_what_an_empty_file_gives(tmp_path: Path) -> None:
    shipped = load(EXAMPLE.read_text(), tmp_path)
    assert shipped.lease_place.startswith("orze.yaml:")
    assert shipped.model_copy(update={"lease_place": ""}) == load("", tmp_path)


def test_every_commented_key_loads_when_it_is_uncommented_alone(tmp_path: Path) -> None:
    lines = EXAMPLE.read_text().splitlines()
    starts = [number for number, line in enumerate(lines) if re.match(r" *#\w+:", line)]
    assert len(starts) > 15
    for start in starts:
        end = start + 1
        while end < len(lines) and COMMENTED.match(lines[end]) and not re.match(r" *#\w", lines[end]):
            end += 1
        block = [COMMENTED.sub(r"\1\2", line) for line in lines[start:end]]
        block = [line for line in block if not line.startswith("  agent:")]  # beside llm
        load("\n".join([*lines[:start], *block, *lines[end:]]), tmp_path)


def test_the_example_with_every_key_uncommented_loads_and_sets_it(tmp_path: Path) -> None:
    settings = load(INSTEAD.sub("", uncommented()), tmp_path)
    assert settings.python == "conda:train"
    assert settings.train_extra_env["HF_HOME"] == "/home/ada/.cache/huggingface"
    assert settings.post_scripts[0].output == "confusion.png"
    assert settings.report.columns[1].source == "eval_report.json:metrics.auc"
    assert settings.for_host("gpu-a7").slots_per_gpu == 2
    assert settings.model_fields_set >= set(Settings.model_fields) - {"gpus", "train_command", "pre_command"}


def test_every_key_is_in_the_example() -> None:
    free = re.compile(r"(retry|(.*\.)?train_extra_env|research\.space)\..*")
    shown = {key for key in keys_of(yaml.safe_load(uncommented())) if not free.fullmatch(key)}
    assert shown - {"hosts.*"} == set(known_keys())


def test_every_key_of_the_example_has_a_comment_above_it() -> None:
    lines = uncommented().splitlines()
    top = [number for number, line in enumerate(lines) if re.match(r"\w+:", line)]
    bare = [lines[number] for number in top if not lines[number - 1].startswith("#")]
    assert [line for line in bare if line != "report:"] == []


def test_every_cause_that_can_be_retried_is_in_the_example() -> None:
    listed = EXAMPLE.read_text().split("# Causes: ")[1].split(". Default")[0]
    assert set(re.findall(r"\w+", listed)) == {cause.value for cause in set(Cause) - UNCOUNTED}
