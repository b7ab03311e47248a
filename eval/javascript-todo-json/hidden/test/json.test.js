import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const COMMAND = fileURLToPath(new URL('../bin/todo.js', import.meta.url));
const TASKS = `# the house
(A) call "Ann" about the roof due:2024-06-01 #house #calls
x buy nails #house
paint the fence

x (C) Größe \\ messen #calls #a #house #calls due:2024-02-03
(B) due:soon is no date # #b
x
`;
const OBJECTS = [
  { line: 2, title: 'call "Ann" about the roof', done: false, due: '2024-06-01', priority: 'A', tags: ['house', 'calls'] },
  { line: 3, title: 'buy nails', done: true, due: null, priority: null, tags: ['house'] },
  { line: 4, title: 'paint the fence', done: false, due: null, priority: null, tags: [] },
  { line: 6, title: 'Größe \\ messen', done: true, due: '2024-02-03', priority: 'C', tags: ['calls', 'a', 'house'] },
  { line: 7, title: 'due:soon is no date #', done: false, due: null, priority: 'B', tags: ['b'] },
  { line: 8, title: 'x', done: false, due: null, priority: null, tags: [] },
];

function run(words) {
  return spawnSync(process.execPath, [COMMAND, ...words], { encoding: 'utf8' });
}

function todo(words, text = TASKS) {
  const folder = mkdtempSync(join(tmpdir(), 'todo-'));
  const file = join(folder, 'tasks.txt');
  writeFileSync(file, text);
  const result = run(words.map((word) => (word === 'FILE' ? file : word)));
  const after = readFileSync(file, 'utf8');
  rmSync(folder, { recursive: true });
  return { ...result, after };
}

function json(words, text) {
  const { status, stdout, stderr } = todo(words, text);
  assert.equal(status, 0, stderr);
  assert.equal(stderr, '');
  return JSON.parse(stdout);
}

test('each task has all keys', () => {
  assert.deepEqual(json(['list', '--json', 'FILE']), OBJECTS);
});

test('the option can stand anywhere', () => {
  assert.deepEqual(json(['list', 'FILE', '--json']), OBJECTS);
  assert.deepEqual(json(['list', '--sort', 'title', '--json', '--open', 'FILE']).length, 4);
});

test('tasks are chosen and sorted as without it', () => {
  for (const options of [
    ['--open'],
    ['--tag', 'house'],
    ['--tag', '#calls', '--open'],
    ['--sort', 'due'],
    ['--sort', 'priority'],
    ['--sort', 'title', '--tag', 'house'],
  ]) {
    const lines = todo(['list', ...options, 'FILE']).stdout.match(/^ *\d+/gm).map(Number);
    const objects = json(['list', '--json', ...options, 'FILE']);
    assert.deepEqual(objects, lines.map((line) => OBJECTS.find((object) => object.line === line)), options.join(' '));
  }
});

test('no task is an empty array', () => {
  assert.deepEqual(json(['list', '--json', '--tag', 'garden', 'FILE']), []);
  assert.deepEqual(json(['list', '--json', 'FILE'], ''), []);
  assert.equal(todo(['list', '--tag', 'garden', 'FILE']).stdout, 'nothing to do\n');
});

test('what is printed without it is as it was', () => {
  assert.equal(
    todo(['list', '--open', '--tag', 'calls', 'FILE']).stdout,
    '2  (A) call "Ann" about the roof  due 2024-06-01  #house #calls\n',
  );
});

test('other commands refuse it', () => {
  for (const words of [['done', '--json', '4', 'FILE'], ['done', '4', 'FILE', '--json'], ['--json', 'list', 'FILE']]) {
    const { status, stdout, after } = todo(words);
    assert.equal(status, 2, words.join(' '));
    assert.equal(stdout, '');
    assert.equal(after, TASKS);
  }
  assert.equal(todo(['list', '--jsonx', 'FILE']).status, 2);
});

test('help and readme have it', () => {
  assert.match(run(['--help']).stdout, /--json/);
  assert.match(readFileSync(new URL('../README.md', import.meta.url), 'utf8'), /--json/);
});
