import pytest

from semesters import catalogue
from semesters.problems import Malformed, Twice


def test_comments_and_empty_lines_are_left_out():
    assert catalogue.read(["# all", "", "A: # nothing", "B: A"]) == {"A": [], "B": ["A"]}


def test_a_line_without_a_colon_is_shown_with_its_number():
    with pytest.raises(Malformed, match="line 2: .*'B A'"):
        catalogue.read(["A:", "B A"])


def test_a_course_stands_once():
    with pytest.raises(Twice, match="line 2: A"):
        catalogue.read(["A:", "A:"])
