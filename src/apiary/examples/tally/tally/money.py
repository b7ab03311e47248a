"""Amounts of money: text outside, whole cents inside."""

import re

_AMOUNT = re.compile(r"(\d+)(?:\.(\d{2}))?")


def parse_amount(text):
    """Reads "12" or "12.34" and returns cents."""
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not an amount: {text!r}")
    whole, cents = match.groups()
    return int(whole) * 100 + int(cents or 0)


def format_amount(cents):
    """Writes cents as "12.34"."""
    return f"{cents // 100}.{cents % 100:02d}"
