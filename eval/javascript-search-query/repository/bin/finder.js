#!/usr/bin/env node
// The command.

import { readFileSync } from 'node:fs';
import { readNotes } from '../lib/notes.js';
import { search } from '../lib/search.js';

const [query, file, ...more] = process.argv.slice(2);
if (file === undefined || more.length > 0) {
  process.stderr.write('usage: finder QUERY FILE\n');
  process.exit(2);
}
try {
  for (const note of search(readNotes(readFileSync(file, 'utf8')), query)) {
    process.stdout.write(`${note.title}\n`);
  }
} catch (error) {
  process.stderr.write(`finder: ${error.message}\n`);
  process.exitCode = 1;
}
