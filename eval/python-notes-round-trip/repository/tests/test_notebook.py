import pytest

from jot import Damaged, Notebook


@pytest.fixture
def notebook(tmp_path):
    return Notebook(tmp_path / "notes.jot")


def test_a_note_can_be_read_again(notebook):
    assert notebook.add("plant the beans", ["garden", "may"]) == 1
    assert notebook.get(1).text == "plant the beans"
    assert notebook.get(1).tags == ("garden", "may")


def test_lines_and_tabs_are_kept_in_one_line_of_the_file(notebook):
    notebook.add("one\ntwo\tthree")
    assert notebook.path.read_text() == "1\t\tone\\ntwo\\tthree\n"
    assert notebook.get(1).text == "one\ntwo\tthree"


def test_the_last_edit_counts(notebook):
    notebook.add("beans", ["garden"])
    notebook.edit(1, "peas")
    assert (notebook.get(1).text, notebook.get(1).tags) == ("peas", ("garden",))


def test_a_deleted_note_is_gone_and_its_number_is_not_used_again(notebook):
    notebook.add("one")
    notebook.add("two")
    notebook.delete(2)
    notebook.compact()
    assert list(notebook.notes()) == [1]
    assert notebook.add("three") == 3


def test_find_looks_at_the_last_version_only(notebook):
    notebook.add("Beans")
    notebook.add("more beans")
    notebook.edit(1, "peas")
    assert [note.number for note in notebook.find("beans")] == [2]


def test_compact_leaves_one_line_for_each_note(notebook):
    notebook.add("one")
    notebook.add("two")
    notebook.edit(1, "eins")
    notebook.compact()
    assert notebook.path.read_text() == "1\t\teins\n2\t\ttwo\n"


def test_a_line_that_is_no_note_is_named(notebook):
    notebook.path.write_text("1\t\tone\nwhat?\n")
    with pytest.raises(Damaged, match="line 2: not a note"):
        notebook.notes()


def test_tags_have_no_spaces(notebook):
    with pytest.raises(ValueError):
        notebook.add("text", ["two words"])
