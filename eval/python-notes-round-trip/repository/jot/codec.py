"""One note as one line. The format is described in docs/format.md."""

from dataclasses import dataclass

DELETED = ("-",)


class Damaged(Exception):
    """A line that is not a note."""


@dataclass(frozen=True)
class Note:
    number: int
    tags: tuple[str, ...]
    text: str

    @property
    def deleted(self) -> bool:
        return self.tags == DELETED


def encode(note: Note) -> str:
    """The note's line, without the line end."""
    text = note.text.replace("\n", "\\n").replace("\t", "\\t")
    return f"{note.number}\t{','.join(note.tags)}\t{text}"


def split(line: str) -> tuple[int, tuple[str, ...], str]:
    """The three parts of a line; the text still as it is written there."""
    parts = line.split("\t")
    if len(parts) != 3 or not parts[0].isdecimal():
        raise Damaged("not a note")
    return int(parts[0]), tuple(tag for tag in parts[1].split(",") if tag), parts[2]


def decode(line: str) -> Note:
    number, tags, text = split(line)
    return Note(number, tags, text.replace("\\n", "\n").replace("\\t", "\t"))
