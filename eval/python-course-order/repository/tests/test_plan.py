import pytest

from semesters.plan import plan, semester
from semesters.problems import Circle, Unknown


def test_what_requires_nothing_is_first():
    assert plan({"B": [], "A": []}) == [["A", "B"]]


def test_the_latest_requirement_counts():
    assert semester({"A": [], "B": ["A"], "C": ["A", "B"]}, "C") == 3


def test_courses_are_sorted_within_a_semester():
    assert plan({"FIELDS": ["PHYS", "CALC2"], "PHYS": ["CALC1"], "CALC2": ["CALC1"], "CALC1": []}) == [
        ["CALC1"],
        ["CALC2", "PHYS"],
        ["FIELDS"],
    ]


def test_no_courses_no_semesters():
    assert plan({}) == []


def test_a_circle_is_shown():
    with pytest.raises(Circle, match="A -> B -> A"):
        plan({"A": ["B"], "B": ["A"]})


def test_an_unknown_course_is_named_with_who_requires_it():
    with pytest.raises(Unknown, match="B requires C, "):
        plan({"A": [], "B": ["A", "C"]})
