import type { Command } from 'commander';
import { CliError, EXIT } from '../exit-code.ts';
import type { SessionOf } from '../session.ts';
import { parseAssignments, readSecretFile, readSettingsFile } from '../values.ts';
import { addChange, addReading, addRemoval, type ResourceCommands } from './resource.ts';

interface Channel {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly enabled: boolean;
}

const channels: ResourceCommands<Channel> = {
  noun: 'channel',
  path: '/channels',
  columns: [
    { title: 'id', value: (row) => row.id, whole: true },
    { title: 'name', value: (row) => row.name },
    { title: 'kind', value: (row) => row.kind },
    { title: 'told', value: (row) => (row.enabled ? 'yes' : 'no') },
  ],
  example: 'noc',
};

/** `muster channel …` */
export function channelCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('channel').description('where alerts are told: webhook, slack, email, syslog');
  addReading(group, sessionOf, channels);
  addCreation(group, sessionOf);
  addChange(group, sessionOf, channels, ['set noc enabled=false', 'set noc webhook.url=https://noc2.example/hook']);
  addTest(group, sessionOf);
  addRemoval(group, sessionOf, channels, 'delete a channel');
}

function addCreation(group: Command, sessionOf: SessionOf): void {
  group
    .command('create <name> [settings...]')
    .description('create a channel of one kind')
    .option('--secret-file <file>', 'HMAC key of a webhook, URL of a Slack hook, or password for the mail relay')
    .option('--file <file>', 'more settings, YAML or JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  muster channel create noc webhook.url=https://noc.example/hook --secret-file hmac.key\n  muster channel create chat slack={} --secret-file slack.url\n  muster channel create siem syslog.host=siem.example syslog.format=cef\n  muster channel create mail email.host=relay.example email.from=muster@example.com email.to=[noc@example.com]',
    )
    .action(
      async (name: string, settings: string[], options: { secretFile?: string; file?: string }, command: Command) => {
        const session = sessionOf(command);
        const { secretFile, file } = options;
        const body = {
          name,
          ...(file !== undefined && readSettingsFile(file)),
          ...parseAssignments(settings),
          ...(secretFile !== undefined && { secret: readSecretFile(secretFile) }),
        };
        session.printObject(await session.client().post<object>('/channels', body));
      },
    );
}

function addTest(group: Command, sessionOf: SessionOf): void {
  group
    .command('test <channel>')
    .description('send a test through a channel, now')
    .addHelpText('after', '\nExample:\n  muster channel test noc')
    .action(async (name: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      const path = `/channels/${encodeURIComponent(name)}/test`;
      const result = await session
        .client()
        .post<{ delivered: boolean; event: string; detail?: string }>(path, undefined);
      if (!result.delivered) throw new CliError(EXIT.unavailable, result.detail ?? 'the channel did not take the test');
      session.confirm(`the channel ${name} took the test (event ${result.event})`, result);
    });
}
