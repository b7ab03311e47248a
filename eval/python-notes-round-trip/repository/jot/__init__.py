"""A notebook in one file."""

from jot.codec import Damaged, Note
from jot.notebook import Notebook

__all__ = ["Damaged", "Note", "Notebook"]
