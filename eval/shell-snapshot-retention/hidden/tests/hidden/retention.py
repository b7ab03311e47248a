"""The rules of `prune` against a second way to say the same."""

import random
import subprocess
import sys
import tempfile
import unittest
from datetime import datetime, timedelta
from pathlib import Path

COMMAND = Path(__file__).parents[2] / "bin" / "snapkeep"
RULES = {
    "last": lambda time: time,
    "daily": lambda time: time.date(),
    "weekly": lambda time: time.isocalendar()[:2],
    "monthly": lambda time: (time.year, time.month),
}


def name(time):
    return time.strftime("%Y-%m-%dT%H-%M-%S")


def time(text):
    return datetime.strptime(text, "%Y-%m-%dT%H-%M-%S")


def expected(names, rules, pinned):
    """What `--explain` prints, line by line."""
    reasons = {one: [] for one in names}
    for rule, period in RULES.items():
        periods = []
        for one in sorted(set(names) - set(pinned), reverse=True):
            if period(time(one)) not in periods:
                periods.append(period(time(one)))
                if len(periods) <= rules.get(rule, 0):
                    reasons[one].append(rule)
    lines = []
    for one in sorted(names, reverse=True):
        why = ["pinned"] if one in pinned else reasons[one]
        lines.append(f"keep {one}: {' '.join(why)}" if why else f"remove {one}")
    return lines


class Retention(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="snap keep ")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name) / "of ours"
        self.folder.mkdir()

    def make(self, names, pinned=()):
        for one in names:
            (self.folder / one).mkdir()
            (self.folder / one / "file").write_text("data")
        for one in pinned:
            (self.folder / one / ".pinned").touch()

    def there(self):
        return sorted(path.name for path in self.folder.iterdir())

    def run_command(self, *arguments, status=0):
        result = subprocess.run(["bash", COMMAND, "prune", *arguments], capture_output=True, text=True)
        self.assertEqual(result.returncode, status, f"{arguments}: {result.stderr}")
        if status == 0:
            self.assertEqual(result.stderr, "", arguments)
        return result.stdout.splitlines()

    def check(self, names, pinned=(), **rules):
        """Explains, tries and prunes, and compares all of them with what is expected."""
        self.make(names, pinned)
        options = [text for rule, number in rules.items() for text in (f"--{rule}", str(number))]
        lines = expected(names, rules, pinned)
        removed = sorted(line.split()[1] for line in lines if line.startswith("remove"))
        self.assertEqual(self.run_command(*options, "--explain", str(self.folder)), lines)
        self.assertEqual(self.run_command("--explain", "--dry-run", str(self.folder), *options), lines)
        self.assertEqual(self.run_command("--dry-run", *options, str(self.folder)), removed)
        self.assertEqual(self.there(), sorted(names))
        self.assertEqual(self.run_command(*options, str(self.folder)), removed)
        self.assertEqual(self.there(), sorted(set(names) - set(removed)))
        self.assertEqual(self.run_command(*options, str(self.folder)), [], "a second prune removes more")

    def test_the_example(self):
        names = ["2024-05-12T20-00-00", "2024-05-12T08-00-00", "2024-05-11T20-00-00", "2024-05-02T09-30-00",
                 "2024-04-30T23-00-00"]
        self.make(names, pinned=names[3:4])
        lines = self.run_command("--last", "1", "--daily", "2", "--monthly", "12", "--explain", str(self.folder))
        self.assertEqual(lines, [
            "keep 2024-05-12T20-00-00: last daily monthly",
            "remove 2024-05-12T08-00-00",
            "keep 2024-05-11T20-00-00: daily",
            "keep 2024-05-02T09-30-00: pinned",
            "keep 2024-04-30T23-00-00: monthly",
        ])

    def test_weeks_go_on_over_the_new_year(self):
        # 30 December 2024 is a Monday; 1 January 2023 is a Sunday; 2020 has 53 weeks.
        days = ["2024-12-29", "2024-12-30", "2024-12-31", "2025-01-01", "2025-01-05", "2025-01-06", "2022-12-31",
                "2023-01-01", "2023-01-02", "2020-12-28", "2021-01-03", "2021-01-04"]
        self.check([f"{day}T08-09-08" for day in days], weekly=9)

    def test_gaps_do_not_count(self):
        self.check([f"{year}-0{month}-08T09-00-00" for year in (2019, 2021, 2024) for month in (1, 8, 9)],
                   daily=5, weekly=4, monthly=3)

    def test_pinned_ones_take_no_place(self):
        names = [f"2024-05-{day:02}T{hour:02}-00-00" for day in range(1, 13) for hour in (0, 8, 23)]
        self.check(names, pinned=names[-4:] + names[:1], last=2, daily=3, weekly=2, monthly=1)

    def test_one_rule_alone(self):
        for rule in RULES:
            with self.subTest(rule):
                start = datetime(2023, 11, 20)
                self.check([name(start + timedelta(hours=7 * step)) for step in range(40)], **{rule: 3})
                subprocess.run(["rm", "-rf", *self.folder.iterdir()], check=True)

    def test_any_snapshots_and_rules(self):
        chance = random.Random(1712)
        for _ in range(12):
            start = datetime(chance.choice([2015, 2020, 2024]), 12, chance.randrange(1, 31))
            names = sorted({
                name(start + timedelta(seconds=chance.randrange(90 * 24 * 3600))) for _ in range(chance.randrange(1, 80))
            })
            pinned = [one for one in names if chance.random() < 0.1]
            rules = {rule: chance.choice([1, 2, 8, 9, 10, 100]) for rule in RULES if chance.random() < 0.6}
            rules = rules or {"weekly": 4}
            with self.subTest(rules=rules):
                self.check(names, pinned, **rules)
                subprocess.run(["rm", "-rf", *self.folder.iterdir()], check=True)

    def test_wrong_usage_removes_nothing(self):
        names = ["2024-05-11T20-00-00", "2024-05-12T20-00-00"]
        self.make(names)
        folder = str(self.folder)
        for arguments in (
            [folder], ["--dry-run", folder], ["--explain", folder],
            ["--daily", "0", folder], ["--weekly", "x", folder], ["--monthly", "", folder], ["--daily", "-1", folder],
            ["--daily", "1.5", folder], [folder, "--daily"], ["--weekly", "--last", "1", folder],
            ["--daily", "1", "--daily", "2", folder], ["--monthly", "1", "--last", "1", "--monthly", "1", folder],
            ["--yearly", "1", folder], ["--daily", "1"], ["--daily", "1", folder, folder],
        ):
            self.run_command(*arguments, status=2)
            self.assertEqual(self.there(), names, arguments)

    def test_everything_else_is_left_alone(self):
        self.make(["2024-05-10T20-00-00", "2024-05-12T20-00-00", "2024-05-11", "other", "2024-05-11T20-00-00.old"])
        (self.folder / "2024-05-13T20-00-00").write_text("a file")
        (self.folder / "2024-05-14T20-00-00").symlink_to("other")
        self.assertEqual(self.run_command("--daily", "1", "--explain", str(self.folder)),
                         ["keep 2024-05-12T20-00-00: daily", "remove 2024-05-10T20-00-00"])
        self.assertEqual(self.run_command("--daily", "1", str(self.folder)), ["2024-05-10T20-00-00"])
        self.assertEqual(len(self.there()), 6)

    def test_an_empty_folder(self):
        self.assertEqual(self.run_command("--daily", "7", "--explain", str(self.folder)), [])
        self.assertEqual(self.run_command("--daily", "7", str(self.folder)), [])

    def test_the_readme_has_the_options(self):
        text = (COMMAND.parents[1] / "README.md").read_text()
        for option in ("--daily", "--weekly", "--monthly", "--explain", ".pinned"):
            self.assertIn(option, text)


if __name__ == "__main__":
    sys.exit(not unittest.main(exit=False).result.wasSuccessful())
