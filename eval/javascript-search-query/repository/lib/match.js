// Whether a note is found.

// Whether all the terms hold for the note.
export function matches(note, terms) {
  return terms.every((term) => holds(note, term) !== term.negated);
}

function holds(note, { field, value }) {
  switch (field) {
    case null:
      return [note.title, note.text, note.author, ...note.tags].some((text) => contains(text, value));
    case 'title':
    case 'author':
      return contains(note[field], value);
    case 'tag':
      return note.tags.some((tag) => tag.toLowerCase() === value);
    default:
      return false;
  }
}

function contains(text, value) {
  return text.toLowerCase().replace(/\s+/g, ' ').includes(value);
}
