// Reading a file of notes.

// The notes of a text with a JSON object on each line.
export function readNotes(text) {
  const notes = [];
  text.split('\n').forEach((line, index) => {
    if (line.trim() !== '') {
      notes.push(readNote(line, index + 1));
    }
  });
  return notes;
}

function readNote(line, number) {
  let note;
  try {
    note = JSON.parse(line);
  } catch {
    throw new Error(`line ${number} is no JSON`);
  }
  if (typeof note?.title !== 'string' || typeof note.text !== 'string') {
    throw new Error(`line ${number} has no title or no text`);
  }
  return { author: '', tags: [], ...note };
}
