"""Reads a catalogue: one course on each line, with what it requires."""

from collections.abc import Iterable

from semesters.problems import Malformed, Twice

Catalogue = dict[str, list[str]]
"""Each course, and the courses that have to be taken in an earlier semester."""


def read(lines: Iterable[str]) -> Catalogue:
    catalogue: Catalogue = {}
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        course, colon, required = text.partition(":")
        course = course.strip()
        if not colon or not course or " " in course:
            raise Malformed(number, line.strip())
        if course in catalogue:
            raise Twice(number, course)
        catalogue[course] = [name.strip() for name in required.split(",") if name.strip()]
    return catalogue
