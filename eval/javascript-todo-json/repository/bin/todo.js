#!/usr/bin/env node
// The command.

import { readFileSync, writeFileSync } from 'node:fs';
import { HELP, UsageError, readArguments } from '../lib/arguments.js';
import { asText } from '../lib/format.js';
import { choose, markDone, readTasks } from '../lib/tasks.js';

function main(words) {
  const options = readArguments(words);
  if (options.command === 'help') {
    process.stdout.write(HELP);
    return;
  }
  const text = readFileSync(options.file, 'utf8');
  if (options.command === 'done') {
    writeFileSync(options.file, markDone(text, options.line));
    return;
  }
  process.stdout.write(asText(choose(readTasks(text), options)));
}

try {
  main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`todo: ${error.message}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
