"""Lengths of time as people say them. It lives in `control` because every room may import `control`."""


def in_words(seconds: float) -> str:
    """40 s, 12 min, 7 h 10 min."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
