"""Sizes, durations, rates and counts as text: one number format for all outputs."""

from datetime import datetime, timedelta


def size(count: float) -> str:
    """Number of bytes, such as `2.2 GB`; empty for 0."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            digits = 0 if count >= 100 or unit == "B" else 1
            return f"{count:,.{digits}f} {unit}" if count else ""
        count /= 1000
    return ""


def duration(seconds: float) -> str:
    """Clock time, such as `45 s`, `12 min`, `3.5 h` or `12 d`."""
    return f"{_number(seconds / 86400)} d" if seconds >= 2 * 86400 else hours(seconds / 3600)


def clock_time(seconds: float) -> str:
    """Time of day in `seconds` from now, such as `04:12`; later than today with its date."""
    end = datetime.now() + timedelta(seconds=seconds)
    return f"{end:%H:%M}" if end.date() == datetime.now().date() else f"{end:%d %b %H:%M}"


def hours(amount: float) -> str:
    """Time of processors, such as `45 s`, `12 min` or `1,234 h`: never days, as in a budget."""
    if amount >= 1:
        return f"{_number(amount)} h"
    return f"{_number(amount * 60)} min" if amount * 60 >= 2 else f"{amount * 3600:.0f} s"


def rate(per_second: float, unit: str) -> str:
    """Rate, such as `12 steps/s`; below one a second `2.5 s/step`."""
    if 0 < per_second < 1:
        return f"{_number(1 / per_second)} s/{unit}"
    return f"{_number(per_second)} {unit}s/s"


def count(number: int, noun: str) -> str:
    """Number and noun, such as `1 cell` or `1,200 cells`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """Share of 1, such as `12 %`."""
    return f"{100 * share:,.0f} %"


def _number(amount: float) -> str:
    return f"{amount:,.{1 if amount < 10 else 0}f}"
