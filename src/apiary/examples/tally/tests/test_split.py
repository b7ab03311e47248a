import pytest

from tally import split


def test_an_even_bill_is_split_evenly():
    assert split(900, ["ann", "ben", "cem"]) == [("ann", 300), ("ben", 300), ("cem", 300)]


def test_no_cent_is_lost():
    shares = split(1000, ["ann", "ben", "cem"])
    assert sum(share for _, share in shares) == 1000


def test_nobody_is_an_error():
    with pytest.raises(ValueError):
        split(100, [])
