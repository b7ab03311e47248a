"""Dividing an amount among people."""


def split(cents, people):
    """Divides `cents` evenly and returns (person, share) pairs in the order of `people`."""
    if not people:
        raise ValueError("nobody to split the bill among")
    share = cents // len(people)
    return [(person, share) for person in people]
