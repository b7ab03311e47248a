"""Finding notes, line by line: a notebook can be larger than the memory."""

from pathlib import Path

from jot.codec import Note, decode


def find(path: Path, word: str) -> list[Note]:
    """The notes that have the word in their text, whatever its case, in the order of their numbers."""
    wanted = word.casefold()
    found: dict[int, Note] = {}
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not line.strip():
                continue
            note = decode(line.strip(" \r\n"))
            # What an earlier version of the note had does not count.
            found.pop(note.number, None)
            if not note.deleted and wanted in note.text.casefold():
                found[note.number] = note
    return [found[number] for number in sorted(found)]
