"""The command."""

import argparse
import sys

from jot import Damaged, Notebook


def main() -> int:
    parser = argparse.ArgumentParser(prog="jot")
    parser.add_argument("notebook")
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add", help="adds a note and prints its number")
    add.add_argument("--tags", default="", help="separated by commas")
    add.add_argument("text")
    edit = commands.add_parser("edit", help="gives a note another text")
    edit.add_argument("number", type=int)
    edit.add_argument("text")
    show = commands.add_parser("show", help="prints the text of a note")
    show.add_argument("number", type=int)
    delete = commands.add_parser("delete")
    delete.add_argument("number", type=int)
    find = commands.add_parser("find", help="prints number and first line of the notes with a word")
    find.add_argument("word")
    commands.add_parser("compact", help="leaves out what has been edited or deleted")
    arguments = parser.parse_args()
    try:
        run(Notebook(arguments.notebook), arguments)
    except (Damaged, ValueError) as problem:
        print(f"jot: {problem}", file=sys.stderr)
        return 1
    except KeyError:
        print(f"jot: there is no note {arguments.number}", file=sys.stderr)
        return 1
    return 0


def run(notebook: Notebook, arguments: argparse.Namespace) -> None:
    match arguments.command:
        case "add":
            print(notebook.add(text_of(arguments), [tag for tag in arguments.tags.split(",") if tag]))
        case "edit":
            notebook.edit(arguments.number, text_of(arguments))
        case "show":
            print(notebook.get(arguments.number).text)
        case "delete":
            notebook.delete(arguments.number)
        case "find":
            for note in notebook.find(arguments.word):
                print(note.number, note.text.partition("\n")[0], sep="\t")
        case "compact":
            notebook.compact()


def text_of(arguments: argparse.Namespace) -> str:
    return sys.stdin.read() if arguments.text == "-" else arguments.text


if __name__ == "__main__":
    sys.exit(main())
