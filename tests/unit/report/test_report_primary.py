"""Which metric ranks and which way is better."""

import pytest

from orze.report.primary import choose, is_ascending


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ({"test_accuracy", "val_accuracy", "val_loss"}, "val_accuracy"),
        ({"test_accuracy", "val_loss"}, "val_loss"),
        ({"test_loss", "test_accuracy"}, "test_accuracy"),
        ({"loss", "accuracy"}, "accuracy"),
        ({"training_time", "bleu", "auc"}, "auc"),
        ({"training_time", "wall_seconds", "epochs", "params", "step", "trainTime", "num_layers"}, None),
        ({"time.total", "f1"}, "f1"),
        (set(), None),
    ],
)
def test_validation_is_preferred_to_test_and_costs_are_never_chosen(names, chosen):
    assert choose(names) == chosen


@pytest.mark.parametrize(
    ("name", "ascending"),
    [
        ("val_loss", True),
        ("valLoss", True),
        ("crossentropyloss", True),
        ("test.error", True),
        ("top1_err", True),
        ("RMSE", True),
        ("dev/wer", True),
        ("latency_ms", True),
        ("val_accuracy", False),
        ("cancer_auc", False),
        ("confidence", False),
        ("power", False),
        ("interrupted", False),
        ("bleu", False),
        ("", False),
    ],
)
def test_the_words_of_a_name_tell_the_direction(name, ascending):
    assert is_ascending(name, None) is ascending
    assert is_ascending(name, "ascending") is True
    assert is_ascending(name, "descending") is False


def test_another_word_for_the_direction_is_refused_by_name():
    with pytest.raises(ValueError, match="'upwards': write ascending or descending"):
        is_ascending("loss", "upwards")
