"""Counting in months."""

from datetime import date


def add_months(day: date, months: int) -> date:
    """The date that many months after `day`."""
    years, month = divmod(day.month - 1 + months, 12)
    return day.replace(year=day.year + years, month=month + 1)


def months_between(first: date, second: date) -> int:
    """How many times the month changes from the first date to the second."""
    return (second.year - first.year) * 12 + second.month - first.month
