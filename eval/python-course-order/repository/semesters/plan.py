"""Finds the earliest semester of each course."""

from semesters.catalogue import Catalogue
from semesters.problems import Circle, Unknown


def semester(catalogue: Catalogue, course: str) -> int:
    """The earliest semester in which the course can be taken; the first is 1."""
    return _semester(catalogue, course, [])


def plan(catalogue: Catalogue) -> list[list[str]]:
    """The courses of each semester, sorted by name."""
    semesters: list[list[str]] = []
    for course in sorted(catalogue):
        number = semester(catalogue, course)
        while len(semesters) < number:
            semesters.append([])
        semesters[number - 1].append(course)
    return semesters


def _semester(catalogue: Catalogue, course: str, waiting: list[str]) -> int:
    """`waiting` are the courses on the way here, each of which requires the next."""
    if course in waiting:
        raise Circle(waiting[waiting.index(course) :])
    if course not in catalogue:
        raise Unknown(waiting[-1] if waiting else "the question", course)
    latest = 0
    for required in catalogue[course]:
        latest = max(latest, _semester(catalogue, required, [*waiting, course]))
    return latest + 1
