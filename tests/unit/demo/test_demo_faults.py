"""What train_idea.py does with an idea that cannot be trained: FAILED, one sentence, exit code 1."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Make = Callable[..., Any]  # the fixture `attempt`

ALL_TYPES = "mlp, simple_cnn, logistic, knn, svm, random_forest, gradient_boosting"
FAULTS = [
    ({"model": {"type": "bert"}}, f"unknown model.type 'bert'; choose one of: {ALL_TYPES}"),
    ({"model": {"type": ["mlp"]}}, f"unknown model.type ['mlp']; choose one of: {ALL_TYPES}"),
    ({"model": {"depth": 3}}, "unknown key 'model.depth'; known are: type, layers, activation, alpha"),
    ({"model": {"type": "knn", "C": 1}}, "unknown key 'model.C'; known are: type, n_neighbors, weights"),
    ({"training": {"epoch": 3}}, "unknown key 'training.epoch'; known are: epochs, batch_size, lr, seed"),
    ({"data": {"size": 3}}, "unknown key 'data.size'; known are: seed, shifts"),
    ({"sweep": {"training.lr": [1, 2]}}, "unknown key 'sweep'; known are: data, model, training"),
    ({"model": "mlp"}, "model must be like {}, not 'mlp'"),
    ({"model": {"layers": 64}}, "model.layers must be like [64], not 64"),
    ({"training": {"epochs": "five"}}, "training.epochs must be like 30, not 'five'"),
    ({"training": {"epochs": True}}, "training.epochs must be like 30, not True"),
    ({"training": {"lr": "fast"}}, "training.lr must be like 0.001, not 'fast'"),
    ({"training": {"lr": [0.1]}}, "training.lr must be like 0.001, not [0.1]"),
    ({"training": {"epochs": 0}}, "training.epochs must be 1 or more"),
]


def failed(one: Any) -> tuple[str, str]:
    """Runs an attempt that must fail; returns its error and its log."""
    done = one.run()
    assert done.returncode == 1, done.stderr
    assert one.metrics.keys() == {"status", "error"}
    assert one.metrics["status"] == "FAILED"
    assert [path.name for path in one.output.iterdir()] == ["metrics.json"]
    error = one.metrics["error"]
    assert isinstance(error, str)
    assert "\n" not in error
    assert f"FAILED: {error}" in done.stderr
    return error, done.stderr


@pytest.mark.parametrize(("config", "sentence"), FAULTS, ids=lambda value: str(value)[:40])
def test_a_faulty_configuration_is_told_in_one_sentence_that_names_the_key(
    attempt: Make, config: Any, sentence: str
) -> None:
    error, log = failed(attempt(config))
    assert error == sentence
    assert "Traceback" not in log


def test_a_configuration_that_is_no_mapping_is_named_with_its_file(attempt: Make) -> None:
    one = attempt(["mlp"])
    error, _ = failed(one)
    assert error.startswith(f"{one.environment['ORZE_IDEA_CONFIG']}: the configuration must be a mapping")


@pytest.mark.parametrize(("module", "package"), [("sklearn", "scikit-learn"), ("yaml", "pyyaml")])
def test_a_missing_package_is_told_with_the_command_that_installs_it(
    attempt: Make, tmp_path: Path, module: str, package: str
) -> None:
    # A module that hides the installed package.
    (tmp_path / f"{module}.py").write_text(f"raise ModuleNotFoundError('gone', name='{module}')\n")
    error, log = failed(attempt({}, PYTHONPATH=str(tmp_path)))
    assert error == f"{module} is not installed; run: pip install {package}"
    assert "Traceback" not in log


def test_a_missing_torch_is_told_with_the_command_that_installs_it(
    train_idea: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # hides an installed torch as well
    with pytest.raises(ModuleNotFoundError) as caught:
        train_idea.build_model(train_idea.read_settings({"model": {"type": "simple_cnn"}}))
    assert train_idea.explain(caught.value) == "torch is not installed; run: pip install torch"


def test_what_scikit_learn_refuses_is_told_in_its_words_with_the_traceback_in_the_log(
    train_idea: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    read = train_idea.read_settings({"model": {"type": "knn", "n_neighbors": 0}})
    try:
        train_idea.build_model(read).fit(*train_idea.load_data(read["data"])[0])
    except ValueError as error:
        sentence = train_idea.explain(error)
    assert sentence.startswith(
        "InvalidParameterError: The 'n_neighbors' parameter of KNeighborsClassifier must be"
    )
    assert "Traceback" in capsys.readouterr().err


def test_an_error_of_many_lines_becomes_one_of_bounded_length(train_idea: ModuleType) -> None:
    assert train_idea.explain(OSError("one\ntwo")) == "OSError: one two"
    assert len(train_idea.explain(OSError("x" * 10_000))) == 500


def test_arguments_of_train_extra_args_are_accepted_and_named(attempt: Make) -> None:
    one = attempt({"model": {"type": "bert"}})
    one.command.extend(["--fast", "3"])
    assert "ignored: --fast 3" in one.run().stdout


def test_by_hand_the_section_of_the_ideas_file_is_merged_with_the_base(attempt: Make, tmp_path: Path) -> None:
    one = attempt({})
    del one.environment["ORZE_IDEA_CONFIG"]
    (tmp_path / "base.yaml").write_text("model: {type: knn}\n")
    (tmp_path / "ideas.md").write_text("## idea-001: Try\n\n```yaml\nmodel: {layers: [3]}\n```\n")
    error, _ = failed(one)
    assert error == "unknown key 'model.layers'; known are: type, n_neighbors, weights"
