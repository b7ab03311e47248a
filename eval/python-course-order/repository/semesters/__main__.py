"""The command."""

import argparse
import sys

from semesters import catalogue, plan
from semesters.problems import Problem


def main() -> int:
    parser = argparse.ArgumentParser(prog="semesters")
    parser.add_argument("catalogue", help="a file, or - for the standard input")
    parser.add_argument("--course", help="print the semester of this course only")
    arguments = parser.parse_args()
    try:
        if arguments.catalogue == "-":
            courses = catalogue.read(sys.stdin)
        else:
            with open(arguments.catalogue, encoding="utf-8") as file:
                courses = catalogue.read(file)
        if arguments.course:
            print(plan.semester(courses, arguments.course))
        else:
            for number, names in enumerate(plan.plan(courses), start=1):
                print(f"{number}: {' '.join(names)}")
    except Problem as problem:
        print(f"semesters: {problem}", file=sys.stderr)
        return 1
    return 0


sys.exit(main())
