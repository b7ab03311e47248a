import re
import subprocess
import sys

import pytest

from semesters.plan import plan, semester
from semesters.problems import Circle, Unknown


# The command, with the limit of recursion that Python has by itself.
COMMAND = """
import runpy, sys
sys.setrecursionlimit = lambda limit: None
runpy.run_module("semesters", run_name="__main__", alter_sys=True)
"""


def command(text, *arguments):
    """Runs the command in a process of its own, so that a hang or a crash of the interpreter is a failure of one test."""
    return subprocess.run(
        [sys.executable, "-c", COMMAND, "-", *arguments],
        input=text, capture_output=True, text=True, timeout=15,
    )


def layers(number, width=3):
    """Each course requires all of the layer before: width ** number ways lead down."""
    catalogue = {}
    for layer in range(number):
        for place in range(width):
            below = [f"L{layer - 1:03}-{other}" for other in range(width)] if layer else []
            catalogue[f"L{layer:03}-{place}"] = below
    return catalogue


def ladder(rungs):
    return {f"R{rung:05}": [f"R{rung - 1:05}"] if rung else [] for rung in range(rungs)}


def text(catalogue):
    return "".join(f"{course}: {', '.join(required)}\n" for course, required in catalogue.items())


def circle_in(message):
    found = re.search(r"\S+( -> \S+)+", message)
    assert found, message
    courses = found.group().split(" -> ")
    assert courses[0] == courses[-1], message
    return courses[:-1]


def test_many_ways_to_a_course():
    result = command(text(layers(80)))
    assert result.returncode == 0, result.stderr[-300:]
    lines = result.stdout.splitlines()
    assert len(lines) == 80
    assert lines[79] == "80: L079-0 L079-1 L079-2"


def test_many_ways_to_the_one_course_that_is_asked_for():
    result = command(text(layers(80)), "--course", "L079-1")
    assert (result.returncode, result.stdout) == (0, "80\n"), result.stderr[-300:]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_ladder_of_20000(backwards):
    courses = ladder(20_000)
    if backwards:
        courses = {f"R{19_999 - rung:05}": [f"R{20_000 - rung:05}"] if rung else [] for rung in range(20_000)}
    result = command(text(courses))
    assert result.returncode == 0, result.stderr[-300:]
    lines = result.stdout.splitlines()
    assert len(lines) == 20_000
    assert lines[19_999] == ("20000: R00000" if backwards else "20000: R19999")


def test_the_top_of_a_ladder():
    result = command(text(ladder(20_000)), "--course", "R19999")
    assert (result.returncode, result.stdout) == (0, "20000\n"), result.stderr[-300:]


def test_a_circle_at_the_end_of_a_ladder_is_shown_without_the_ladder():
    courses = ladder(5_000)
    courses["R00000"] = ["Y"]
    courses |= {"X": ["Y"], "Y": ["Z"], "Z": ["X"]}
    result = command(text(courses))
    assert result.returncode == 1
    assert sorted(circle_in(result.stderr)) == ["X", "Y", "Z"]


def test_a_circle_among_many_ways():
    courses = layers(60)
    courses["L000-1"] = ["L001-2"]
    result = command(text(courses))
    assert result.returncode == 1
    circle = circle_in(result.stderr)
    assert sorted(circle) == ["L000-1", "L001-2"]


def test_a_circle_is_in_the_order_of_what_is_required():
    courses = {"A": ["B"], "B": ["C"], "C": ["D"], "D": ["B"], "E": []}
    with pytest.raises(Circle) as raised:
        plan(courses)
    circle = circle_in(str(raised.value))
    assert sorted(circle) == ["B", "C", "D"]
    for course, required in zip(circle, circle[1:] + circle[:1]):
        assert required in courses[course]


def test_a_course_that_requires_itself():
    with pytest.raises(Circle, match="A -> A"):
        semester({"A": ["A"]}, "A")


def test_who_is_required_twice_is_no_circle():
    courses = {"A": [], "B": ["A", "A"], "C": ["A"], "D": ["B", "C", "A"]}
    assert plan(courses) == [["A"], ["B", "C"], ["D"]]


def test_one_course_is_planned_whatever_is_wrong_elsewhere():
    courses = {"A": [], "B": ["A"], "X": ["Y"], "Y": ["X"], "Z": ["NONE"]}
    assert semester(courses, "B") == 2


def test_unknown_courses_are_named():
    with pytest.raises(Unknown, match="B requires C, "):
        plan({"A": [], "B": ["A", "C"]})
    with pytest.raises(Unknown, match="C"):
        semester({"A": []}, "C")


def test_the_catalogue_is_left_as_it_was():
    courses = {"B": ["A"], "A": [], "C": ["B", "A"]}
    plan(courses)
    assert courses == {"B": ["A"], "A": [], "C": ["B", "A"]}
    courses["A"].append("D")
    courses["D"] = []
    assert plan(courses) == [["D"], ["A"], ["B"], ["C"]]
