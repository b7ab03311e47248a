"""Splits a bill among friends, to the cent."""

from .money import format_amount, parse_amount
from .split import split

__all__ = ["format_amount", "parse_amount", "split"]
