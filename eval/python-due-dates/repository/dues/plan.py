"""The dates on which a member pays."""

from collections.abc import Iterator
from datetime import date
from itertools import islice, takewhile

from dues.months import add_months


def due_dates(joined: date, every: int) -> Iterator[date]:
    """The dates from `joined` on, `every` so many months, without end."""
    if every < 1:
        raise ValueError(f"a payment every {every} months makes no plan")
    day = joined
    while True:
        yield day
        day = add_months(day, every)


def first_dates(joined: date, every: int, count: int) -> list[date]:
    """The first `count` dates."""
    return list(islice(due_dates(joined, every), count))


def dates_until(joined: date, every: int, last: date) -> list[date]:
    """The dates up to and with `last`."""
    return list(takewhile(lambda day: day <= last, due_dates(joined, every)))
