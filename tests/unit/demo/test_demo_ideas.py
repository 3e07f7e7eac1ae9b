"""The shipped ideas and base configurations, and the pure functions of train_idea.py."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[3]
MAIN = (ROOT / "ideas.md", ROOT / "configs" / "base.yaml")
ON_GPU = (ROOT / "examples" / "gpu" / "ideas.md", ROOT / "examples" / "gpu" / "base.yaml")


def ids(ideas: Path) -> list[str]:
    return re.findall(r"(?m)^## (idea-\d+):", ideas.read_text())


IDEAS = [
    pytest.param(*files, idea, id=f"{files[0].parent.name}-{idea}")
    for files in (MAIN, ON_GPU)
    for idea in ids(files[0])
]


def settings(script: ModuleType, ideas: Path, base: Path, idea: str) -> dict[str, Any]:
    """The checked configuration of one shipped idea."""
    block = script.load_yaml(str(ideas), script.idea_block(str(ideas), idea))
    read: dict[str, Any] = script.read_settings(script.deep_merge(yaml.safe_load(base.read_text()), block))
    return read


def test_eight_ideas_ship_and_cover_several_families(train_idea: ModuleType) -> None:
    kinds = [settings(train_idea, *MAIN, idea)["model"]["type"] for idea in ids(MAIN[0])]
    assert len(kinds) == 8
    assert len(set(kinds)) >= 5
    assert "simple_cnn" not in kinds, "make demo installs no torch"


@pytest.mark.parametrize(("ideas", "base", "idea"), IDEAS)
def test_every_shipped_idea_loads_and_names_a_known_model(
    train_idea: ModuleType, ideas: Path, base: Path, idea: str
) -> None:
    kind = settings(train_idea, ideas, base, idea)["model"]["type"]
    assert (kind == "simple_cnn") == (ideas == ON_GPU[0])


@pytest.mark.parametrize(("ideas", "base", "idea"), IDEAS)
def test_every_shipped_idea_says_what_it_expects_and_refers_to_ideas_before_it(
    ideas: Path, base: Path, idea: str
) -> None:
    before, section = ideas.read_text().split(f"\n## {idea}:")
    fields = dict(re.findall(r"(?m)^- \*\*(\w+)\*\*: (.+)", section.partition("\n## ")[0]))
    assert fields["Priority"] in {"critical", "high", "medium", "low"}
    assert fields["Category"]
    assert fields["Hypothesis"]
    for name in {"Parent", "After"} & fields.keys():
        assert f"\n## {fields[name]}:" in before


def test_the_base_configuration_states_the_defaults_of_the_script(train_idea: ModuleType) -> None:
    stated = yaml.safe_load(MAIN[1].read_text())
    assert stated == {"data": train_idea.DATA, "model": {"type": "mlp"}, "training": train_idea.TRAINING}


def test_the_readme_of_the_gpu_example_gives_a_command_whose_files_exist() -> None:
    text = (ON_GPU[0].parent / "README.md").read_text()
    found = re.search(
        r"python farm\.py --gpus 0 --ideas-md (\S+) --base-config (\S+) --results-dir results-gpu", text
    )
    assert found is not None
    assert [ROOT / name for name in found.groups()] == list(ON_GPU)


def test_help_loads_nothing_heavy_and_nothing_of_the_farm() -> None:
    watched = ["numpy", "scipy", "sklearn", "joblib", "torch", "yaml", "orze"]
    code = (
        "import runpy, sys; sys.argv = ['train_idea.py', '--help']\n"
        "try: runpy.run_path('train_idea.py', run_name='__main__')\n"
        f"finally: print('loaded', [name for name in {watched} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert "--idea-id" in done.stdout
    assert done.stdout.endswith("loaded []\n")


BLOCKS = [
    ("## idea-1: x\n```yaml\na: 1\n```\n", "a: 1\n"),
    ("## idea-1\n~~~~yml title\na: 1\n~~~\n~~~~\n", "a: 1\n~~~\n"),
    ("## idea-1: x\n```\nno\n```\n```yaml\na: 1\n```\n```yaml\na: 2\n```\n", "a: 1\n"),
    ("```\n## idea-1: quoted\n```yaml\na: 0\n```\n## idea-1: x\n```yaml\na: 1\n```\n", "a: 1\n"),
    ("## idea-10: x\n```yaml\na: 0\n```\n## idea-1: x\n```yaml\na: 1\n```\n", "a: 1\n"),
    ("## idea-1: x\nno block\n## idea-2: x\n```yaml\na: 2\n```\n", None),
    ("## idea-1: x\n```yaml\nthe fence stays open: 1\n", None),
    ("nothing\n", None),
]


@pytest.mark.parametrize(("text", "block"), BLOCKS)
def test_the_block_of_a_section_is_found_as_markdown_reads_it(
    train_idea: ModuleType, tmp_path: Path, text: str, block: str | None
) -> None:
    ideas = tmp_path / "ideas.md"
    ideas.write_text(text)
    if block is None:
        with pytest.raises(train_idea.ProblemError, match="found no section '## idea-1: "):
            train_idea.idea_block(str(ideas), "idea-1")
    else:
        assert train_idea.idea_block(str(ideas), "idea-1") == block


values = st.integers() | st.lists(st.integers(), max_size=2)
keys = st.sampled_from("abc")
mappings = st.dictionaries(
    keys, st.recursive(values, lambda inner: st.dictionaries(keys, inner), max_leaves=9)
)


@given(base=mappings, over=mappings)
def test_a_merge_keeps_what_the_idea_says_and_what_only_the_base_says(
    train_idea: ModuleType, base: dict[str, Any], over: dict[str, Any]
) -> None:
    def check(base: Any, over: Any, merged: Any) -> None:
        if not (isinstance(base, dict) and isinstance(over, dict)):
            assert merged == over
            return
        assert merged.keys() == base.keys() | over.keys()
        for key in merged:
            check(base.get(key, over.get(key)), over.get(key, base.get(key)), merged[key])

    inputs = repr((base, over))
    check(base, over, train_idea.deep_merge(base, over))
    assert repr((base, over)) == inputs, "neither input is touched"


@pytest.mark.parametrize(("text", "value"), [("1e-3", 0.001), ("0.5", 0.5), ("2", 2.0)])
def test_a_learning_rate_may_be_written_in_any_way(train_idea: ModuleType, text: str, value: float) -> None:
    assert train_idea.read_settings(yaml.safe_load(f"training: {{lr: {text}}}"))["training"]["lr"] == value


def test_the_farms_seed_moves_the_model_and_leaves_the_split(
    train_idea: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = []
    for seed in ("", "7", "8"):
        monkeypatch.setenv("ORZE_SEED", seed)
        read = train_idea.read_settings({"training": {"seed": 7}, "model": {"layers": [4]}})
        assert read["seed"] == int(seed or 7)
        assert read["data"]["seed"] == 0
        model = train_idea.build_model(read)
        model.partial_fit(*train_idea.load_data(read["data"])[0], classes=range(10))
        losses.append(model.loss_)
    assert losses[0] == losses[1] != losses[2]


def test_the_split_is_fixed_and_disjoint_and_shifts_touch_only_the_training_part(
    train_idea: ModuleType,
) -> None:
    plain, shifted, other = (
        train_idea.load_data({"seed": seed, "shifts": shifts})
        for seed, shifts in ((0, False), (0, True), (1, False))
    )
    assert [len(labels) for _, labels in plain] == [1077, 360, 360]
    for part in (1, 2):
        assert (plain[part][0] == shifted[part][0]).all()
        assert (plain[part][0] != other[part][0]).any()
    copies = shifted[0][0].reshape(9, 1077, 8, 8)
    original = plain[0][0].reshape(1077, 8, 8)
    assert (copies[4] == original).all()
    assert (copies[0][:, 1:, 1:] == original[:, :-1, :-1]).all()
    assert (copies[0][:, 0] == 0).all()
    train, val, test = ({image.tobytes() for image in images} for images, _ in plain)
    assert not (train & val) | (train & test) | (val & test)


def test_a_checkpoint_is_used_by_the_same_experiment_only(
    train_idea: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ORZE_CHECKPOINT_DIR", raising=False)
    monkeypatch.setenv("ORZE_RESUME_FROM", str(tmp_path))
    saved = train_idea.read_settings({"training": {"epochs": 9}})
    train_idea.save_checkpoint(saved, "model", 5, 1.5)
    assert train_idea.load_checkpoint(saved) is None, "without ORZE_CHECKPOINT_DIR nothing is saved"
    monkeypatch.setenv("ORZE_CHECKPOINT_DIR", str(tmp_path))
    train_idea.save_checkpoint(saved, "model", 5, 1.5)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.joblib"]
    for change, found in (
        ({}, True),
        ({"epochs": 5}, True),
        ({"epochs": 4}, False),
        ({"lr": 0.5}, False),
        ({"seed": 1}, False),
    ):
        read = train_idea.read_settings({"training": {"epochs": 9, **change}})
        assert train_idea.load_checkpoint(read) == (("model", 5, 1.5) if found else None)
    assert train_idea.load_checkpoint(train_idea.read_settings({"data": {"seed": 1}})) is None


def test_a_long_training_saves_a_checkpoint_now_and_then(
    train_idea: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ORZE_CHECKPOINT_DIR", str(tmp_path / "saved"))
    monkeypatch.delenv("ORZE_RESUME_FROM", raising=False)
    monkeypatch.setattr(train_idea, "CHECKPOINT_SECONDS", 0.0)
    read = train_idea.read_settings({"model": {"layers": [4]}, "training": {"epochs": 3}})
    train, val, _ = train_idea.load_data(read["data"])
    train_idea.train_by_epoch(read, train, val, str(tmp_path / "progress.jsonl"), [])
    monkeypatch.setenv("ORZE_RESUME_FROM", str(tmp_path / "saved"))
    _, done, _ = train_idea.load_checkpoint(read)
    assert done == 2, "before each epoch, so the last one is of two"


def test_a_training_that_diverges_fails_instead_of_reporting_no_number(train_idea: ModuleType) -> None:
    import numpy as np

    class Diverged:
        """A model whose weights are not numbers any more."""

        def predict_proba(self, images: Any) -> Any:
            return np.full((len(images), 10), np.nan)

    with pytest.raises(
        train_idea.ProblemError, match=r"the val loss is not a number: .* smaller training\.lr"
    ):
        train_idea.score(Diverged(), (np.zeros((3, 64)), np.array([1, 2, 3])), "val")


def test_a_file_that_cannot_be_replaced_leaves_no_part_of_it(train_idea: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").mkdir()
    with pytest.raises(IsADirectoryError):
        train_idea.write_whole(str(tmp_path / "metrics.json"), b"{}")
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]
