import process from 'node:process';
import { run } from './program.ts';

// A reader that leaves early (`muster … | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

process.exitCode = await run(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
  folder: process.cwd(),
  columns: process.stdout.isTTY ? process.stdout.columns : undefined,
});
