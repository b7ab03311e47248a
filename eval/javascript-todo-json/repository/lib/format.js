// How tasks are printed.

// One line for each task, or a word when there is none.
export function asText(tasks) {
  if (tasks.length === 0) {
    return 'nothing to do\n';
  }
  const width = Math.max(...tasks.map((task) => String(task.number).length));
  return tasks.map((task) => `${line(task, width)}\n`).join('');
}

function line(task, width) {
  const mark = task.done ? 'x  ' : task.priority ? `(${task.priority})` : '   ';
  const parts = [`${mark} ${task.title}`];
  if (task.due) {
    parts.push(`due ${task.due}`);
  }
  if (task.tags.size > 0) {
    parts.push([...task.tags].map((tag) => `#${tag}`).join(' '));
  }
  return `${String(task.number).padStart(width)}  ${parts.join('  ')}`;
}
