import { serve } from './composition/serve.ts';
import { ConfigurationError } from './configuration/configuration-error.ts';
import { loadConfiguration } from './configuration/load.ts';
import { parseServeArguments, serveUsage } from './configuration/serve-arguments.ts';
import { announcementText, writeReadyFile } from './installation/announcement.ts';
import { reasonOf } from '../core/errors/muster-error.ts';

/** `npm start`: serves until SIGINT or SIGTERM. Exit codes: 0 stopped, 1 could not start, 2 wrong flags or settings. */
async function main(): Promise<void> {
  const flags = parseServeArguments(process.argv.slice(2));
  if (flags.help) {
    process.stdout.write(serveUsage);
    return;
  }
  const server = await serve(loadConfiguration({ arguments: flags, environment: process.env, folder: process.cwd() }));
  const stop = (): void => {
    // A second signal means now.
    process.once('SIGINT', () => process.exit(130));
    server.close().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error('muster could not stop cleanly:', error);
        process.exit(1);
      },
    );
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  if (flags.readyFile !== undefined) writeReadyFile(flags.readyFile, await server.announce());
  // Secrets are shown to a person or written to a closed file; never to a log, which standard output is when it is piped.
  if (process.stderr.isTTY) process.stderr.write(announcementText(await server.announce()));
}

main().catch((error: unknown) => {
  if (error instanceof ConfigurationError) {
    console.error(error.message);
    process.exit(2);
  }
  const message = error instanceof Error ? error.message : String(error);
  console.error(`muster could not start: ${message} (${reasonOf(error)})`);
  if (error instanceof Error && error.cause !== undefined) console.error(error.cause);
  process.exit(1);
});
