import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { readNotes } from '../lib/notes.js';
import { search } from '../lib/search.js';

const ALL = ['cake', 'hives', 'fence', 'screen', 'odd'];
const LINES = [
  { title: 'cake', text: 'say "hi" to  the\ncook, an old draft', author: 'Ann Lee', tags: ['kitchen', 'to do'] },
  { title: 'hives', text: 'draft: an old copy, at 12:30', author: 'Lee Ann', tags: ['bee', 'do'] },
  { title: 'fence', text: 'see https://example.org/a:b and tag:bee', author: 'Bo "the bee" Lee', tags: ['to'] },
  { title: 'screen', text: 'a 5" one, -draft', tags: ['C:\\new', 'a:b'] },
  { title: 'odd', text: 'end\\ "quoted\\text" colon: dash - tag: x"y z', tags: ['"', '-'] },
]
  .map((note) => JSON.stringify(note))
  .join('\n');
const NOTES = readNotes(LINES);

function without(...titles) {
  return ALL.filter((title) => !titles.includes(title));
}

// Each query, and the notes that it finds.
function check(name, table) {
  test(name, () => {
    for (const [query, expected] of table) {
      assert.deepEqual(
        search(NOTES, query).map((note) => note.title),
        expected,
        `the query ${query}`,
      );
    }
  });
}

check('the table of the issue', [
  ['author:"Ann Lee"', ['cake']],
  ['-"old draft"', without('cake')],
  ['"say \\"hi\\""', ['cake']],
  ['-tag:"to do"', without('cake')],
  ['12:30', ['hives']],
  ['https://example.org', ['fence']],
  ['"tag:bee"', ['fence']],
  ['"-draft"', ['screen']],
  ['"old dra', ['cake']],
  ['5"', ['screen']],
]);

check('what was understood before', [
  ['draft old', ['cake', 'hives']],
  ['"hi\\" to the cook"', ['cake']],
  ['TAG:Bee', ['hives']],
  ['-draft', ['fence', 'odd']],
  ['-author:lee', ['screen', 'odd']],
  ['', ALL],
  ['  \t ', ALL],
  ['nothing', []],
]);

check('a quote within a word stands for itself', [
  ['x"y', ['odd']],
  ['x"y z', ['odd']],
  ['x"y"', []],
  ['-x"y', without('odd')],
  ['text"', ['odd']],
  ['author:o"the', []],
  ['-5"', without('screen')],
]);

check('what comes after a phrase is the next term', [
  ['"old""copy"', ['hives']],
  ['"old"copy', ['hives']],
  ['"old"-copy', ['cake']],
  ['"old"tag:bee', ['hives']],
  ['author:"lee"-author:"lee ann"', ['cake', 'fence']],
  ['-"old"-"say"', without('cake', 'hives')],
  ['tag:"do"old', ['hives']],
]);

check('backslashes', [
  ['end\\', ['odd']],
  ['"end\\\\"', ['odd']],
  ['"end\\\\" dash', ['odd']],
  ['"quoted\\text"', ['odd']],
  ['"quoted\\\\text"', ['odd']],
  ['tag:c:\\new', ['screen']],
  ['tag:"c:\\new"', ['screen']],
  ['"\\"quoted', ['odd']],
  ['author:"Bo \\"the bee\\""', ['fence']],
  ['-author:"bo \\"the', without('fence')],
  ['tag:"\\""', ['odd']],
  ['end\\"', []],
]);

check('a colon without a field', [
  ['https://example.org/a:b', ['fence']],
  ['-12:30', without('hives')],
  ['draft:', ['hives']],
  [':30', ['hives']],
  ['-colon:', without('odd')],
  ['tag:a:b', ['screen']],
  ['"draft: an"', ['hives']],
  ['text:old', []],
  ['constructor:old', []],
  ['12:"30', []],
  ['"tag": dash', ['odd']],
]);

check('what is in quotes is text', [
  ['"-"', ['screen', 'odd']],
  ['"author:lee"', []],
  ['-"-draft"', without('screen')],
  ['-"tag:bee"', without('fence')],
  ['tag:"-"', ['odd']],
  ['"title:cake"', []],
]);

check('terms with nothing in them are left out', [
  ['tag:', ALL],
  ['author:"', ALL],
  ['""', ALL],
  ['-', ALL],
  ['-tag:', ALL],
  ['-""', ALL],
  ['tag:""', ALL],
  ['-"', ALL],
  ['old tag:', ['cake', 'hives']],
  ['tag: bee', ['hives', 'fence']],
  ['- old', ['cake', 'hives']],
  ['-author:"" copy', ['hives']],
  ['"" old -', ['cake', 'hives']],
]);

check('phrases to the end of the query', [
  ['draft "to  the', []],
  ['draft "to the', ['cake']],
  ['author:"lee a', ['hives']],
  ['-tag:"to do', without('cake')],
  ['"end\\', ['odd']],
  ['"say \\"hi', ['cake']],
]);

test('the command understands them', () => {
  const folder = mkdtempSync(join(tmpdir(), 'finder-'));
  const file = join(folder, 'notes.jsonl');
  writeFileSync(file, `${LINES}\n`);
  const command = fileURLToPath(new URL('../bin/finder.js', import.meta.url));
  const { stdout, status } = spawnSync(process.execPath, [command, '-tag:"to do" old', file], { encoding: 'utf8' });
  rmSync(folder, { recursive: true });
  assert.equal(stdout, 'hives\n');
  assert.equal(status, 0);
});
