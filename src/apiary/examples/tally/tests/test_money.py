import pytest

from tally import format_amount, parse_amount


@pytest.mark.parametrize("text, cents", [("0", 0), ("12", 1200), ("12.34", 1234), (" 0.05 ", 5)])
def test_amounts_are_read(text, cents):
    assert parse_amount(text) == cents


@pytest.mark.parametrize("text", ["", "1.5", "-1", "1,00", "one"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(ValueError):
        parse_amount(text)


def test_amounts_are_written_with_two_digits():
    assert format_amount(5) == "0.05"
    assert format_amount(123400) == "1234.00"
