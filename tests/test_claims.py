"""A check prints one line, stores what it found, and fails when it must."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from aebook import claims
from aebook.claims import ClaimError, check


@pytest.mark.parametrize(("value", "low", "high"), [(2, 1, 3), (1, 1, None), (3, None, 3), (np.float32(2), 1, 3)])
def test_a_value_in_the_band_holds(capsys, value, low, high):
    check("two is between", value, low=low, high=high)
    assert capsys.readouterr().out.startswith("✓ two is between | ")


@pytest.mark.parametrize("value", [0.999, 3.001, float("nan"), float("inf"), -float("inf")])
def test_a_value_outside_raises_with_claim_value_and_band(capsys, value):
    with pytest.raises(ClaimError, match=r"two is between\n.*not in \[1, 3\]") as caught:
        check("two is between", value, low=1, high=3)
    assert f"{value:.6g}" in str(caught.value)
    assert capsys.readouterr().out.startswith("✗ ")


def test_counts_are_written_out(capsys):
    check("parameters", 543_904, low=543_904, high=1e6)
    assert capsys.readouterr().out == "✓ parameters | 543,904 in [543,904, 1,000,000]\n"


def test_truth_values_need_no_band():
    check("it is so", np.bool_(True))
    with pytest.raises(ClaimError):
        check("it is so", False)


@pytest.mark.parametrize(("low", "high"), [(None, None), (3, 1)])
def test_a_check_that_cannot_fail_or_hold_is_refused(low, high):
    with pytest.raises(ValueError, match=r"band|cannot fail"):
        check("nothing", 2, low=low, high=high)


def test_a_stand_in_leaves_a_claim_untested(capsys):
    check("coats are warm", 99, high=1, data=SimpleNamespace(missing="Fashion-MNIST"))
    assert capsys.readouterr().out == "○ coats are warm | not tested here: needs Fashion-MNIST\n"
    with pytest.raises(ClaimError):
        check("coats are warm", 99, high=1, data=SimpleNamespace(missing=None))


def test_an_unanswered_exercise_is_no_failure(capsys):
    check("your answer", ..., low=1)
    assert "not answered yet" in capsys.readouterr().out


def test_a_notebook_stores_the_claim(monkeypatch):
    published = []
    shell = SimpleNamespace(display_pub=SimpleNamespace(publish=published.append))
    monkeypatch.setattr(claims, "_shell", lambda: shell)
    check("two is between", 2, low=1, high=3)
    with pytest.raises(ClaimError):
        check("not a number", float("nan"), low=1)
    good, bad = (json.loads(json.dumps(bundle[claims.MIME], allow_nan=False)) for bundle in published)
    assert good == {
        "statement": "two is between",
        "verdict": "holds",
        "found": "2 in [1, 3]",
        "value": 2,
        "low": 1,
        "high": 3,
    }
    assert (bad["verdict"], bad["value"]) == ("fails", None)
    assert published[0]["text/plain"] == "✓ two is between | 2 in [1, 3]"


@pytest.mark.parametrize(
    "value", [np.ones(3), np.ones(1), [1, 2], "2", None, 2j, object()], ids=lambda value: type(value).__name__
)
def test_a_value_that_is_no_single_number_is_refused_in_words(value):
    with pytest.raises(ValueError, match=r"the claim 'two' is about one number, and .* came"):
        check("two", value, low=1, high=3)


@pytest.mark.parametrize("value", [np.array(2), np.float16(2), np.uint8(2)])
def test_arrays_without_axes_are_numbers(capsys, value):
    check("two", value, low=1, high=3)
    assert capsys.readouterr().out.startswith("✓ two | 2 in [1, 3]")


def test_an_array_of_one_truth_value_needs_no_band():
    check("it is so", np.array(True))
    with pytest.raises(ClaimError):
        check("it is so", np.array(False))


@pytest.mark.parametrize("limit", [float("nan"), float("inf"), -float("inf"), "1", [1], 1j])
def test_a_band_that_is_no_finite_number_is_refused(limit):
    for band in ({"low": limit}, {"high": limit}):
        with pytest.raises(ValueError, match="expected a finite number, or none"):
            check("two", 2, **band)


def test_data_that_are_no_split_are_refused():
    with pytest.raises(ValueError, match="data is a ndarray; pass the split"):
        check("two", 2, low=1, data=np.ones(3))
