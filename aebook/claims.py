"""Statements that are run, not believed: every number that a chapter relies on goes through `check`."""

import sys
from numbers import Real
from typing import Any, Protocol

import numpy as np

MIME = "application/vnd.aebook.claim+json"


class ClaimError(AssertionError):
    """A claim of the book did not hold; the message states the claim, the value and the band."""


class _Data(Protocol):
    missing: str | None


def check(
    statement: str, value: Any, low: float | None = None, high: float | None = None, data: _Data | None = None
) -> None:
    """Print one line that says whether `value` lies in [low, high], and store it with the executed notebook.

    statement: the claim in words, without its number.
    value: one number or truth value, or an array or tensor without axes; `...` stands for an exercise that is not
        answered yet.
    low, high: the band, ends included; at least one of them (a truth value needs none).
    data: a split that the claim is about; where it holds a stand-in, the claim is reported as not tested.
    Raises ClaimError when the value is outside the band or NaN, ValueError when the band is missing, empty or holds
    what is no finite number, and for values that are no single number, such as arrays, words and None.
    Every chapter uses it; the site collects the results on one page.
    """
    if value is ...:
        return _report(statement, "unanswered", "not answered yet")
    if data is not None and not hasattr(data, "missing"):
        raise ValueError(
            f"the claim {statement!r}: data is a {type(data).__name__}; pass the split that `data.load` gave"
        )
    if data is not None and data.missing:
        return _report(statement, "not tested", f"not tested here: needs {data.missing}")
    value = _single(statement, value)
    if isinstance(value, bool):
        value, low, high = float(value), 1.0, 1.0
    _require_band(statement, low, high)
    lowest, highest = -np.inf if low is None else low, np.inf if high is None else high
    holds = bool(lowest <= value <= highest)  # false for NaN
    found = f"{_number(value, 4 if holds else 6)} {'in' if holds else 'not in'} [{_end(low)}, {_end(high)}]"
    stored = value if np.isfinite(value) else None  # JSON has neither NaN nor infinity
    _report(statement, "holds" if holds else "fails", found, value=stored, low=low, high=high)
    if not holds:
        raise ClaimError(f"this claim does not hold: {statement}\n  measured {found}")


def _single(statement: str, value: Any) -> float | bool:
    """Return a number or a truth value as Python's own."""
    array = np.asarray(value)
    if array.dtype.name != "bfloat16" and array.dtype.kind not in "biuf":
        found = "None" if value is None else f"a {type(value).__name__}"
        raise ValueError(f"the claim {statement!r} is about one number, and {found} came: {value!r}")
    if array.ndim:
        hint = "reduce it first, for example by .max(), .mean() or .all()"
        raise ValueError(f"the claim {statement!r} is about one number, and an array {array.shape} came; {hint}")
    return bool(array) if array.dtype.kind == "b" else float(array)


def _end(limit: float | None) -> str:
    return "…" if limit is None else _number(limit, 6)


def _number(value: float, digits: int) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.{digits}g}"  # a count is shown in full


def _require_band(statement: str, low: float | None, high: float | None) -> None:
    if low is None and high is None:
        raise ValueError(f"the claim {statement!r} needs low=, high= or both: a check that cannot fail checks nothing")
    for name, limit in (("low", low), ("high", high)):
        if limit is not None and not (isinstance(limit, Real) and np.isfinite(limit)):
            raise ValueError(f"the claim {statement!r} has {name}={limit!r}; expected a finite number, or none")
    if low is not None and high is not None and low > high:
        raise ValueError(f"the claim {statement!r} has an empty band: low={low} lies above high={high}")


def _report(statement: str, verdict: str, found: str, **numbers: float | None) -> None:
    mark = {"holds": "✓", "fails": "✗"}.get(verdict, "○")
    line = f"{mark} {statement} | {found}"
    if (shell := _shell()) is None:
        print(line)
        return
    bundle = {"statement": statement, "verdict": verdict, "found": found, **numbers}
    shell.display_pub.publish({"text/plain": line, MIME: bundle})


def _shell() -> Any:
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
