"""The command: `python3 -m tally AMOUNT PERSON...`."""

import sys

from .money import format_amount, parse_amount
from .split import split


def main(arguments):
    if len(arguments) < 2:
        print("usage: python3 -m tally AMOUNT PERSON...", file=sys.stderr)
        return 64
    amount, *people = arguments
    width = max(len(person) for person in people)
    for person, share in split(parse_amount(amount), people):
        print(f"{person:<{width}}  {format_amount(share)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
