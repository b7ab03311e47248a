"""Adding, editing, reading."""

from collections.abc import Iterable
from pathlib import Path

from jot import compact, search
from jot.codec import DELETED, Damaged, Note, decode, encode


class Notebook:
    def __init__(self, path: str | Path):
        self.path = Path(path)

    def notes(self) -> dict[int, Note]:
        """All notes that are not deleted, by their number."""
        notes = {}
        for number, line in enumerate(self._lines(), start=1):
            try:
                note = decode(line)
            except Damaged as damaged:
                raise Damaged(f"{self.path}: line {number}: {damaged}") from None
            notes[note.number] = note
        return {number: note for number, note in notes.items() if not note.deleted}

    def get(self, number: int) -> Note:
        """The note with that number; KeyError when there is none."""
        return self.notes()[number]

    def add(self, text: str, tags: Iterable[str] = ()) -> int:
        """Adds a note and returns its number."""
        used = [int(line.partition("\t")[0]) for line in self._lines()]
        number = max(used, default=0) + 1
        self._append(Note(number, _checked(tags), text))
        return number

    def edit(self, number: int, text: str) -> None:
        self._append(Note(number, self.get(number).tags, text))

    def delete(self, number: int) -> None:
        self.get(number)
        self._append(Note(number, DELETED, ""))

    def find(self, word: str) -> list[Note]:
        """The notes that have the word in their text, whatever its case."""
        return search.find(self.path, word)

    def compact(self) -> None:
        """Leaves out of the file all that has been edited or deleted since."""
        compact.compact(self.path)

    def _lines(self) -> list[str]:
        if not self.path.exists():
            return []
        return [line.strip(" \r\n") for line in self.path.read_text(encoding="utf-8").splitlines() if line.strip()]

    def _append(self, note: Note) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(encode(note) + "\n")


def _checked(tags: Iterable[str]) -> tuple[str, ...]:
    tags = tuple(tags)
    for tag in tags:
        if not tag or tag == "-" or "," in tag or any(sign.isspace() for sign in tag):
            raise ValueError(f"{tag!r} can't be a tag")
    return tags
