"""Leaving out what has been edited or deleted since."""

import os
from pathlib import Path

from jot.codec import DELETED, Note, encode, split


def compact(path: Path) -> None:
    """Writes the notebook anew with the last version of each note, in the order of their numbers.

    A deleted note with the highest number stays as it is: its number must not be given to another one.
    """
    if not path.exists():
        return
    last: dict[int, Note] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            number, tags, text = split(line.strip(" \r\n"))
            last[number] = Note(number, tags, text)
    highest = max(last, default=0)
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w", encoding="utf-8") as file:
        for number in sorted(last):
            if last[number].tags != DELETED or number == highest:
                file.write(encode(last[number]) + "\n")
    os.replace(fresh, path)
