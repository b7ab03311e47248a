// Reading a query.

// A term is { field, value, negated }. Its value is in small letters; its field is null when it may be anywhere in a note.
export function readQuery(query) {
  const words = query.match(/"[^"]*"|\S+/g) ?? [];
  return words.map(readTerm).filter((term) => term.value !== '');
}

function readTerm(word) {
  let rest = word.replaceAll('"', '');
  const negated = rest.startsWith('-');
  if (negated) {
    rest = rest.slice(1);
  }
  const colon = rest.indexOf(':');
  const field = colon > 0 ? rest.slice(0, colon).toLowerCase() : null;
  const value = colon > 0 ? rest.slice(colon + 1) : rest;
  return { field, value: value.toLowerCase(), negated };
}
