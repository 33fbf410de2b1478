import { Command, CommanderError } from 'commander';
import { MusterError } from '../../core/errors/muster-error.ts';
import { ConfigurationError } from '../configuration/configuration-error.ts';
import { acmeCommands } from './commands/acme.ts';
import { alarmCommands } from './commands/alarm.ts';
import { anchorCommands } from './commands/anchor.ts';
import { applyCommands } from './commands/apply.ts';
import { auditCommands } from './commands/audit.ts';
import { authorityCommands } from './commands/authority.ts';
import { batchCommands } from './commands/batch.ts';
import { channelCommands } from './commands/channel.ts';
import { certificateCommands } from './commands/certificate.ts';
import { completionCommands } from './commands/completion.ts';
import { contextCommands } from './commands/context.ts';
import { deviceCommands } from './commands/device.ts';
import { endpointCommands } from './commands/endpoint.ts';
import { enrollmentCommands } from './commands/enrollment.ts';
import { evidenceCommands } from './commands/evidence.ts';
import { jobCommands } from './commands/job.ts';
import { manifestCommands } from './commands/manifest.ts';
import { planCommands } from './commands/plan.ts';
import { profileCommands } from './commands/profile.ts';
import { referenceValueCommands } from './commands/reference-value.ts';
import { tenantCommands } from './commands/tenant.ts';
import { secretCommands } from './commands/secret.ts';
import { systemCommands } from './commands/system.ts';
import { tokenCommands } from './commands/token.ts';
import { userCommands } from './commands/user.ts';
import { CliError, EXIT } from './exit-code.ts';
import { Session } from './session.ts';
import { printable, type Terminal } from './terminal.ts';

const description = `Command line of Muster, over its REST API.

On the server's own host it finds the server by the data folder. Elsewhere, name it:
  --server https://muster.example:9443 --token-file token --ca-file root.pem
or set MUSTER_SERVER, MUSTER_TOKEN_FILE and MUSTER_CA_FILE, or name it once: muster context add.`;

/** Runs one command line (without the program's name) and returns its exit code. Never throws. */
export async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  try {
    await programOf(terminal).parseAsync([...argv], { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    return report(error, terminal);
  }
}

function programOf(terminal: Terminal): Command {
  const program = new Command('muster')
    .description(description)
    .option('--server <url>', 'URL of the admin listener')
    .option('--token-file <file>', 'file that holds the bearer token')
    .option('--ca-file <file>', 'root certificate of the server, PEM')
    .option('--context <name>', 'a server that `muster context add` named')
    .option('--data <dir>', "the server's data folder, on its own host (default: ./data)")
    .option('--tenant <name>', 'tenant, for tokens of the installation (default: default)')
    .option('--json', 'print JSON')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
      getOutHelpWidth: () => terminal.columns ?? 100,
      getErrHelpWidth: () => terminal.columns ?? 100,
    })
    .exitOverride();
  const sessionOf = (command: Command) => new Session(terminal, command);
  for (const add of [
    systemCommands,
    applyCommands,
    contextCommands,
    completionCommands,
    tenantCommands,
    profileCommands,
    endpointCommands,
    secretCommands,
    deviceCommands,
    planCommands,
    manifestCommands,
    anchorCommands,
    referenceValueCommands,
    evidenceCommands,
    alarmCommands,
    enrollmentCommands,
    batchCommands,
    certificateCommands,
    acmeCommands,
    authorityCommands,
    auditCommands,
    tokenCommands,
    userCommands,
    jobCommands,
    channelCommands,
  ]) {
    add(program, sessionOf);
  }
  return program;
}

function report(error: unknown, { stderr }: Terminal): number {
  // Commander has printed its own message, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof CliError) {
    stderr.write(`muster: ${printable(error.message)}\n`);
    if (error.hint !== undefined) stderr.write(`        ${printable(error.hint)}\n`);
    return error.exitCode;
  }
  if (error instanceof ConfigurationError) {
    for (const problem of error.problems) stderr.write(`muster: ${printable(problem)}\n`);
    return EXIT.usage;
  }
  stderr.write(`muster: ${printable(error instanceof Error ? error.message : String(error))}\n`);
  return error instanceof MusterError && error.reason === 'store-unavailable' ? EXIT.unavailable : EXIT.failed;
}
