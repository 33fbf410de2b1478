import type { Command, Option } from 'commander';
import { EXIT } from '../exit-code.ts';
import type { VerifyOptions } from '../log-verification.ts';
import type { SessionOf } from '../session.ts';

/** `muster audit verify`: offline, believing nothing but the key and the checkpoints it is given. */
export function addAuditVerification(group: Command, sessionOf: SessionOf, log: Option): void {
  group
    .command('verify')
    .description('verify a whole log offline: that nothing was changed, removed, reordered or forked')
    .requiredOption('--key <file>', 'public key that signs checkpoints, PEM: the one thing that is trusted')
    .option('--since <file>', 'a checkpoint you kept: the log must still begin with it')
    .option('--until <file>', 'the newest checkpoint: the log must reach it')
    .option('--entries <file>', 'an export; without it, the database of the server on this host is read')
    .option('--config <file>', 'the configuration file of the server, to find its database')
    .addOption(log)
    .addHelpText(
      'after',
      `\nEnds with ${EXIT.findings} when something is wrong.\n\nExamples:\n  muster audit verify --key audit-key.pem --since yesterday.checkpoint\n  muster audit verify --key audit-key.pem --since old.checkpoint --entries audit.ndjson`,
    )
    .action(async (options: VerifyOptions, command: Command) => {
      // Loaded here alone: the database drivers would slow down every other command.
      const { verifyOffline } = await import('../log-verification.ts');
      await verifyOffline(sessionOf(command), options);
    });
}
