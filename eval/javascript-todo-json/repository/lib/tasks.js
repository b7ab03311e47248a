// Reading a file of tasks, choosing, sorting.

// The tasks of a text. `number` is a task's line, from 1.
export function readTasks(text) {
  const tasks = [];
  text.split(/\r?\n/).forEach((line, index) => {
    if (line.trim() !== '' && !line.startsWith('# ')) {
      tasks.push(readTask(line, index + 1));
    }
  });
  return tasks;
}

function readTask(line, number) {
  const [, done, priority, rest] = /^(x )?\s*(?:\(([A-Z])\) )?(.*)$/.exec(line);
  const task = { number, done: done !== undefined, priority, due: undefined, tags: new Set(), title: '' };
  const words = [];
  for (const word of rest.split(/\s+/).filter((word) => word !== '')) {
    if (/^due:\d{4}-\d{2}-\d{2}$/.test(word)) {
      task.due = word.slice('due:'.length);
    } else if (/^#./.test(word)) {
      task.tags.add(word.slice(1));
    } else {
      words.push(word);
    }
  }
  task.title = words.join(' ');
  return task;
}

// Those of the tasks that the options want, in their order.
export function choose(tasks, { open, tag, sort }) {
  const chosen = tasks.filter((task) => (!open || !task.done) && (tag === null || task.tags.has(tag)));
  if (sort !== null) {
    chosen.sort((left, right) => compare(left[sort], right[sort]));
  }
  return chosen;
}

function compare(left, right) {
  if (left === undefined || right === undefined) {
    return (left === undefined) - (right === undefined);
  }
  return left < right ? -1 : Number(left > right);
}

// The text with the task in that line done.
export function markDone(text, number) {
  const lines = text.split('\n');
  const task = readTasks(text).find((task) => task.number === number);
  if (task === undefined) {
    throw new Error(`there is no task in line ${number}`);
  }
  if (!task.done) {
    lines[number - 1] = `x ${lines[number - 1]}`;
  }
  return lines.join('\n');
}
