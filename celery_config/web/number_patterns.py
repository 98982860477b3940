"""Regular expressions of whole numbers between two bounds, for documents that describe numbers as texts."""

from __future__ import annotations

MOST_DIGITS = 900
"""DRF reads no longer texts."""
ANY_NUMBER = f"^[+-]?[0-9]{{1,{MOST_DIGITS}}}$"


def match_whole_numbers(low: int | None, high: int | None) -> str:
    """Return a pattern of the ASCII digits, with a sign or without, of every number from `low` to `high`."""
    if low is None or (high is None and low < 0):
        return ANY_NUMBER
    if high is None:
        digits = len(str(low))
        return rf"^\+?0*(?:{match_digits(low, 10**digits - 1)}|[1-9][0-9]{{{digits},{MOST_DIGITS}}})$"
    parts = []
    if high >= 0:
        parts.append(rf"\+?0*{match_digits(max(low, 0), high)}")
    if low < 0:
        parts.append(f"-0*{match_digits(max(-high, 0), -low)}")
    return f"^(?:{'|'.join(parts)})$"


def match_digits(low: int, high: int) -> str:
    """Return a pattern of the numbers from `low` to `high`, none of them negative, without zeros before them."""
    lengths = range(len(str(low)), len(str(high)) + 1)
    parts = [
        match_equal_length(str(max(low, 10 ** (n - 1) if n > 1 else 0)), str(min(high, 10**n - 1)))
        for n in lengths
    ]
    return f"(?:{'|'.join(parts)})"


def match_equal_length(low: str, high: str) -> str:
    """The same of numbers that have as many digits as both bounds."""
    if low == high:
        return low
    rest = len(low) - 1
    if low == "0" * len(low) and high == "9" * len(high):
        return repeat_digits(len(low))
    if low[0] == high[0]:
        return low[0] + match_equal_length(low[1:], high[1:])
    first, last = int(low[0]), int(high[0])
    parts = []
    if low[1:] != "0" * rest:
        parts.append(low[0] + match_equal_length(low[1:], "9" * rest))
        first += 1
    if high[1:] != "9" * rest:
        parts.append(high[0] + match_equal_length("0" * rest, high[1:]))
        last -= 1
    if first <= last:
        digits = str(first) if first == last else f"[{first}-{last}]"
        parts.append(digits + repeat_digits(rest))
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"


def repeat_digits(number: int) -> str:
    return {0: "", 1: "[0-9]"}.get(number, f"[0-9]{{{number}}}")
