"""Sizes and durations as people read them."""


def size(count: float) -> str:
    """Bytes for people: `2.2 GB`; empty for none."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            digits = 0 if count >= 100 or unit == "B" else 1
            return f"{count:,.{digits}f} {unit}" if count else ""
        count /= 1000
    return ""


def duration(seconds: float) -> str:
    """Seconds for people: `45 s`, `12 min`, `3.5 h`, `12 d`."""
    for unit, length in (("d", 86400 * 2), ("h", 3600), ("min", 120)):
        if seconds >= length:
            amount = seconds / {"d": 86400, "h": 3600, "min": 60}[unit]
            return f"{amount:,.{1 if amount < 10 else 0}f} {unit}"
    return f"{seconds:.0f} s"
