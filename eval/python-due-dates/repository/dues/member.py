"""A member, and what she owes."""

from dataclasses import dataclass
from datetime import date

from dues.plan import dates_until


@dataclass(frozen=True)
class Member:
    name: str
    joined: date
    every: int
    """The months from one payment to the next."""
    amount: int
    """What one payment is, in cents."""

    def owes(self, on: date, paid: int = 0) -> int:
        """What is due by that day, without the `paid` cents that she has paid already."""
        return len(dates_until(self.joined, self.every, on)) * self.amount - paid
