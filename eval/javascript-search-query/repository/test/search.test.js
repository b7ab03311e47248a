import assert from 'node:assert/strict';
import test from 'node:test';
import { readNotes } from '../lib/notes.js';
import { search } from '../lib/search.js';

const NOTES = readNotes(`
{"title": "Honey cake", "text": "Flour, eggs,\\nand  honey", "author": "Ann Lee", "tags": ["kitchen", "Bee"]}
{"title": "Hives", "text": "A draft about honey", "author": "Lee Ann", "tags": ["bee"]}
{"title": "Fence", "text": "Paint it"}
`);

function found(query) {
  return search(NOTES, query).map((note) => note.title);
}

test('a word is found anywhere', () => {
  assert.deepEqual(found('honey'), ['Honey cake', 'Hives']);
  assert.deepEqual(found('FENCE'), ['Fence']);
  assert.deepEqual(found('kitch'), ['Honey cake']);
});

test('all terms must hold', () => {
  assert.deepEqual(found('honey draft'), ['Hives']);
  assert.deepEqual(found('honey fence'), []);
});

test('a phrase is found across white space', () => {
  assert.deepEqual(found('"eggs, and honey"'), ['Honey cake']);
});

test('a field is looked at alone', () => {
  assert.deepEqual(found('title:honey'), ['Honey cake']);
  assert.deepEqual(found('Author:ANN'), ['Honey cake', 'Hives']);
  assert.deepEqual(found('tag:bee'), ['Honey cake', 'Hives']);
  assert.deepEqual(found('tag:be'), []);
});

test('a term can be negated', () => {
  assert.deepEqual(found('honey -draft'), ['Honey cake']);
  assert.deepEqual(found('-tag:bee'), ['Fence']);
});

test('no terms find all', () => {
  assert.deepEqual(found('  '), ['Honey cake', 'Hives', 'Fence']);
});

test('a line that is no note is told', () => {
  assert.throws(() => readNotes('{"title": "a", "text": "b"}\n{'), /line 2 is no JSON/);
  assert.throws(() => readNotes('{"title": "a"}'), /line 1 has no title or no text/);
});
