import random
import subprocess
import sys

import pytest

from jot import Notebook

NASTY = [
    "see C:\\new\\table.txt",
    "\\",
    "\\\\",
    "\\\\n",
    "\\n",
    "a\\\nb",
    "\\\t\\t\\\\t",
    "ends in a backslash\\",
    "\\r\\\r\r",
    "pasted\u2028from\u2029the\x85web",
    "a form\x0cfeed, \x0b, \x1c, \x1d and \x1e",
    "two spaces at the end  ",
    "  and at the beginning",
    "ends in a line\n",
    "\n\nbegins with lines",
    "ends in a tab\t",
    "from Windows\r\nwith lines\r\n",
    "\r",
    "   ",
    "\u00a0",
    "",
    "\u2028",
    "-",
    "# no comment",
    "Grüße, 日本語, 🐝",
    "\ufeffwith a mark",
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "notes.jot"


def texts(path):
    return {number: note.text for number, note in Notebook(path).notes().items()}


def lines(path):
    content = path.read_bytes()
    assert content.endswith(b"\n")
    return content[:-1].split(b"\n")


@pytest.mark.parametrize("text", NASTY, ids=ascii)
def test_what_goes_in_comes_out(path, text):
    notebook = Notebook(path)
    notebook.add("before")
    assert notebook.add(text, ["tag"]) == 2
    notebook.add("after")
    expected = {1: "before", 2: text, 3: "after"}
    assert len(lines(path)) == 3
    assert texts(path) == expected
    for _ in range(3):
        notebook.compact()
        assert texts(path) == expected
        assert len(lines(path)) == 3
    assert {note.number: note.text for note in notebook.find("")} == expected
    notebook.edit(1, text)
    notebook.compact()
    assert texts(path) == {1: text, 2: text, 3: "after"}
    assert notebook.get(2).tags == ("tag",)


def test_any_text_survives_any_number_of_compacts_and_edits(path):
    chance = random.Random(20240501)
    signs = "\\\\\\nrtbx\n\r\t  \u2028\x85\x0b\x0c\x1cé,#-"
    notebook = Notebook(path)
    expected = {}
    for _ in range(300):
        text = "".join(chance.choices(signs, k=chance.randrange(12)))
        if expected and chance.random() < 0.3:
            number = chance.choice(list(expected))
            notebook.edit(number, text)
        else:
            number = notebook.add(text)
        expected[number] = text
        if chance.random() < 0.1:
            notebook.compact()
    assert texts(path) == expected
    assert {note.number: note.text for note in notebook.find("")} == expected
    notebook.compact()
    notebook.compact()
    assert texts(path) == expected
    assert len(lines(path)) == len(expected)


def test_a_word_is_found_in_the_text_and_not_in_how_it_is_stored(path):
    notebook = Notebook(path)
    notebook.add("C:\\new\\table")
    notebook.add("pasted\u2028needle")
    notebook.add("C:\new\table")
    assert [note.number for note in notebook.find("C:\\new")] == [1]
    assert [note.number for note in notebook.find("needle")] == [2]
    assert [note.text for note in notebook.find("\u2028")] == ["pasted\u2028needle"]
    assert notebook.find("\\\\") == []


def test_the_notebooks_there_are_stay_readable(path):
    path.write_text("1\tpaths\tin D:\\photos\\2023\\\n2\t\tone\\ntwo\\tthree\n3\t-\t\n4\t\t\n", encoding="utf-8")
    expected = {1: "in D:\\photos\\2023\\", 2: "one\ntwo\tthree", 4: ""}
    assert texts(path) == expected
    notebook = Notebook(path)
    assert {note.number: note.text for note in notebook.find("")} == expected
    for _ in range(3):
        notebook.compact()
        assert texts(path) == expected
    assert notebook.get(1).tags == ("paths",)
    assert notebook.add("E:\\new") == 5
    assert texts(path) == {**expected, 5: "E:\\new"}


def test_a_number_stays_taken_through_compacts(path):
    notebook = Notebook(path)
    notebook.add("a\\b")
    notebook.add("two  ")
    notebook.delete(2)
    notebook.compact()
    notebook.compact()
    assert notebook.add("three") == 3
    assert texts(path) == {1: "a\\b", 3: "three"}


def command(path, *arguments, given=b""):
    result = subprocess.run([sys.executable, "-m", "jot", str(path), *arguments], input=given, capture_output=True)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


def test_the_command_shows_what_it_was_given(path):
    assert command(path, "add", "see C:\\new\\table.txt") == b"1\n"
    assert command(path, "add", "two spaces  ") == b"2\n"
    assert command(path, "add", "a\u2028b") == b"3\n"
    command(path, "compact")
    assert command(path, "show", "1") == b"see C:\\new\\table.txt\n"
    assert command(path, "show", "2") == b"two spaces  \n"
    assert command(path, "show", "3") == "a\u2028b\n".encode()
    assert command(path, "find", "C:\\new") == b"1\tsee C:\\new\\table.txt\n"


def test_the_command_takes_line_ends_from_the_standard_input_as_they_are(path):
    command(path, "add", "-", given=b"from\r\nWindows\r\n")
    command(path, "edit", "1", "-", given=b"from\r\nWindows  \r\n")
    assert command(path, "show", "1") == b"from\r\nWindows  \r\n\n"
    assert texts(path) == {1: "from\r\nWindows  \r\n"}
