from datetime import date

from dues.months import add_months, months_between


def test_december_follows_november():
    assert add_months(date(2023, 11, 5), 1) == date(2023, 12, 5)


def test_twelve_months_are_a_year():
    assert add_months(date(2023, 5, 5), 12) == date(2024, 5, 5)


def test_months_count_backwards_too():
    assert add_months(date(2024, 1, 5), -2) == date(2023, 11, 5)


def test_months_between_ignore_the_day():
    assert months_between(date(2023, 12, 31), date(2024, 2, 1)) == 2
