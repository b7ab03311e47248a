// Reading the arguments of the command.

export const HELP = `usage: todo list [--open] [--tag TAG] [--sort due|priority|title] FILE
       todo done LINE FILE

  --open       only tasks that are not done
  --tag TAG    only tasks with this tag
  --sort KEY   by due date, priority or title; else in the order of the file
`;

const SORT_KEYS = ['due', 'priority', 'title'];

export class UsageError extends Error {}

export function readArguments(words) {
  if (words.length === 0 || words.includes('--help')) {
    return { command: 'help' };
  }
  const [command, ...rest] = words;
  if (command === 'list') {
    return { command, ...listOptions(rest) };
  }
  if (command === 'done') {
    if (rest.length !== 2 || !/^[1-9][0-9]*$/.test(rest[0])) {
      throw new UsageError('done needs a line and a file');
    }
    return { command, line: Number(rest[0]), file: rest[1] };
  }
  throw new UsageError(`unknown command ${command}`);
}

function listOptions(words) {
  const options = { open: false, tag: null, sort: null, file: null };
  const rest = [...words];
  while (rest.length > 0) {
    const word = rest.shift();
    if (word === '--open') {
      options.open = true;
    } else if (word === '--tag') {
      options.tag = valueOf(word, rest).replace(/^#/, '');
    } else if (word === '--sort') {
      options.sort = valueOf(word, rest);
      if (!SORT_KEYS.includes(options.sort)) {
        throw new UsageError(`--sort is one of ${SORT_KEYS.join(', ')}`);
      }
    } else if (word.startsWith('-')) {
      throw new UsageError(`unknown option ${word}`);
    } else if (options.file !== null) {
      throw new UsageError('more than one file');
    } else {
      options.file = word;
    }
  }
  if (options.file === null) {
    throw new UsageError('list needs a file');
  }
  return options;
}

function valueOf(option, rest) {
  if (rest.length === 0) {
    throw new UsageError(`${option} needs a value`);
  }
  return rest.shift();
}
