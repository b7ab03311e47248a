"""What can be wrong with a catalogue."""


class Problem(Exception):
    """A catalogue that can't be planned; the text is for its author."""


class Malformed(Problem):
    def __init__(self, number: int, line: str):
        super().__init__(f"line {number}: expected 'COURSE: REQUIRED, ...', found {line!r}")


class Twice(Problem):
    def __init__(self, number: int, course: str):
        super().__init__(f"line {number}: {course} is there already")


class Unknown(Problem):
    def __init__(self, course: str, required: str):
        super().__init__(f"{course} requires {required}, which is not in the catalogue")


class Circle(Problem):
    """`courses` are those that wait for each other, in order; the last one requires the first."""

    def __init__(self, courses: list[str]):
        super().__init__("these courses wait for each other: " + " -> ".join([*courses, courses[0]]))
        self.courses = courses
