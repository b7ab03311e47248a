import subprocess
import sys
from calendar import monthrange
from datetime import date

import pytest

from dues.member import Member
from dues.plan import dates_until, first_dates


def test_the_command_prints_the_plan_of_the_issue():
    output = subprocess.run(
        [sys.executable, "-m", "dues", "2024-01-31", "--every", "1", "--count", "4"],
        capture_output=True, text=True, check=True,
    ).stdout
    assert output.split() == ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]


@pytest.mark.parametrize("day", range(1, 32))
@pytest.mark.parametrize("every", [1, 2, 3, 6, 12, 13])
def test_each_date_is_the_day_of_joining_or_the_last_of_its_month(day, every):
    dates = first_dates(date(2023, 1, day), every, 40)
    for number, due in enumerate(dates):
        years, month = divmod(number * every, 12)
        year, month = 2023 + years, month + 1
        assert due == date(year, month, min(day, monthrange(year, month)[1]))


def test_the_29th_of_february_comes_back_in_leap_years():
    assert first_dates(date(2020, 2, 29), 12, 5) == [
        date(2020, 2, 29), date(2021, 2, 28), date(2022, 2, 28), date(2023, 2, 28), date(2024, 2, 29),
    ]


def test_dates_until_a_day_take_short_months_too():
    assert dates_until(date(2023, 10, 31), 1, date(2024, 2, 29)) == [
        date(2023, 10, 31), date(2023, 11, 30), date(2023, 12, 31), date(2024, 1, 31), date(2024, 2, 29),
    ]


def test_what_she_owes_counts_the_last_of_february():
    assert Member("Bea", joined=date(2023, 1, 30), every=1, amount=500).owes(on=date(2023, 2, 28)) == 1000


def test_no_plan_without_months():
    with pytest.raises(ValueError):
        first_dates(date(2024, 1, 31), 0, 1)
