// Finding notes.

import { matches } from './match.js';
import { readQuery } from './query.js';

// The notes for which all terms of the query hold, in their order.
export function search(notes, query) {
  const terms = readQuery(query);
  return notes.filter((note) => matches(note, terms));
}
