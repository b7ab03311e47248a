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
`;

// Runs the command with a file of tasks behind its arguments; gives what it printed and the file afterwards.
function todo(words, text = TASKS) {
  const folder = mkdtempSync(join(tmpdir(), 'todo-'));
  const file = join(folder, 'tasks.txt');
  writeFileSync(file, text);
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, ...words, file], { encoding: 'utf8' });
  const after = readFileSync(file, 'utf8');
  rmSync(folder, { recursive: true });
  return { status, stdout, stderr, after };
}

test('open tasks are listed with their line', () => {
  assert.equal(
    todo(['list', '--open']).stdout,
    '2  (A) call "Ann" about the roof  due 2024-06-01  #house #calls\n4      paint the fence\n',
  );
});

test('tasks with a tag, done or not', () => {
  assert.equal(todo(['list', '--tag', 'house']).stdout.split('\n').length, 3);
  assert.equal(todo(['list', '--tag', 'garden']).stdout, 'nothing to do\n');
});

test('tasks are sorted by their title', () => {
  const lines = todo(['list', '--sort', 'title']).stdout.split('\n');
  assert.deepEqual(lines.map((line) => line[0]), ['3', '2', '4', undefined]);
});

test('those without a date come last', () => {
  const text = 'b\na due:2024-02-01\nc due:2024-01-01\n';
  assert.deepEqual(todo(['list', '--sort', 'due'], text).stdout.match(/^\d/gm), ['3', '2', '1']);
});

test('a task is marked as done', () => {
  assert.equal(todo(['done', '4']).after, TASKS.replace('paint', 'x paint'));
  assert.equal(todo(['done', '1']).status, 1);
});

test('wrong usage is told', () => {
  for (const words of [['list', '--all'], ['list', '--sort', 'age'], ['undo'], ['done', 'x']]) {
    const { status, stderr } = todo(words);
    assert.equal(status, 2, words.join(' '));
    assert.match(stderr, /^todo: /);
  }
});
