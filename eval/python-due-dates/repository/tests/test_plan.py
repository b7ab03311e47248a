from datetime import date

import pytest

from dues.member import Member
from dues.plan import dates_until, first_dates


def test_the_first_date_is_the_day_she_joined():
    assert first_dates(date(2024, 3, 15), 1, 1) == [date(2024, 3, 15)]


def test_a_quarter_is_three_months():
    assert first_dates(date(2024, 3, 15), 3, 3) == [date(2024, 3, 15), date(2024, 6, 15), date(2024, 9, 15)]


def test_a_plan_goes_on_in_the_next_year():
    assert first_dates(date(2023, 11, 5), 1, 4)[-2:] == [date(2024, 1, 5), date(2024, 2, 5)]


def test_the_last_day_counts():
    assert dates_until(date(2024, 1, 10), 1, date(2024, 3, 10))[-1] == date(2024, 3, 10)


def test_no_plan_without_months():
    with pytest.raises(ValueError, match="makes no plan"):
        first_dates(date(2024, 1, 1), 0, 1)


def test_what_she_owes_is_what_is_due_and_not_paid():
    ann = Member("Ann", joined=date(2024, 1, 1), every=1, amount=1200)
    assert ann.owes(on=date(2024, 3, 31), paid=1200) == 2400
