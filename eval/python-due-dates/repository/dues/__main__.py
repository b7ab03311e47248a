"""Prints the dates of a plan."""

import argparse
from datetime import date

from dues.plan import first_dates


def main() -> None:
    parser = argparse.ArgumentParser(prog="dues", description=__doc__)
    parser.add_argument("joined", type=date.fromisoformat, help="the first date, as 2024-03-15")
    parser.add_argument("--every", type=int, default=1, metavar="MONTHS")
    parser.add_argument("--count", type=int, default=12)
    arguments = parser.parse_args()
    for day in first_dates(arguments.joined, arguments.every, arguments.count):
        print(day)


if __name__ == "__main__":
    main()
