import { type Command, Option } from 'commander';
import { PLATFORM_NAMES } from '../../enrollment-guide/platform-names.ts';
import type { SessionOf } from '../session.ts';
import type { Column } from '../table.ts';
import { parseAssignments, parseCount, readSettingsFile } from '../values.ts';

interface Endpoint {
  readonly label: string;
  readonly revision: number;
  readonly isDefault: boolean;
  readonly protocols: Readonly<Record<string, unknown>>;
  readonly attestation: { readonly mode: string };
  readonly approval: unknown;
}

const columns: readonly Column<Endpoint>[] = [
  { title: 'label', value: (row) => row.label, whole: true },
  { title: 'open for', value: (row) => Object.keys(row.protocols).join(', ') || 'nothing' },
  { title: 'attestation', value: (row) => row.attestation.mode },
  { title: 'approval', value: (row) => (typeof row.approval === 'string' ? row.approval : 'by rule') },
  { title: 'revision', value: (row) => row.revision },
  { title: 'default', value: (row) => (row.isDefault ? 'yes' : '') },
];

/** `muster endpoint …` */
export function endpointCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('endpoint').description('the labels under which devices enrol');
  addReading(group, sessionOf);
  addCreate(group, sessionOf);
  addSet(group, sessionOf);
  addDelete(group, sessionOf);
}

function addReading(group: Command, sessionOf: SessionOf): void {
  group
    .command('list')
    .description('list endpoints')
    .option('--limit <n>', 'at most this many', parseCount, 100)
    .addHelpText('after', '\nExample:\n  muster endpoint list')
    .action((options: { limit: number }, command: Command) =>
      sessionOf(command).printList(columns, '/endpoints', {}, options.limit),
    );
  group
    .command('show <label>')
    .description('show an endpoint and all its settings, or how a device enrols at it')
    .addOption(new Option('--for <platform>', 'print what such a device is configured with').choices(PLATFORM_NAMES))
    .addHelpText(
      'after',
      '\nExamples:\n  muster endpoint show default --json\n  muster endpoint show branch --for ios-xe',
    )
    .action(async (label: string, { for: platform }: { for?: string }, command: Command) => {
      const session = sessionOf(command);
      const path = `/endpoints/${encodeURIComponent(label)}`;
      if (platform === undefined) return session.printObject(await session.client().get<Endpoint>(path));
      const guide = await session.client().get<Guide>(`${path}/configuration`, { platform });
      if (session.options.json === true) session.printJson(guide);
      else session.print(guide.text);
    });
}

/** A device's configuration, as far as it is shown here. */
interface Guide {
  readonly text: string;
}

const settingHelp = `
Settings are KEY=VALUE; values are YAML. null closes a protocol or lifts a limit.

Examples:`;

function addCreate(group: Command, sessionOf: SessionOf): void {
  group
    .command('create <label> [settings...]')
    .description('create an endpoint; it is closed for every protocol until one is opened')
    .option('--profile <name>', 'certificate profile (default: the oldest of the tenant)')
    .option('--authority <name>', 'issuing authority (default: the newest active one)')
    .option('--file <file>', 'more settings, YAML or JSON')
    .addHelpText(
      'after',
      `${settingHelp}\n  muster endpoint create branch protocols.est={}\n  muster endpoint create lab approval=manual protocols.est.wrapping=none`,
    )
    .action(async (label: string, settings: string[], options: WritingOptions, command: Command) => {
      const session = sessionOf(command);
      const { profile, authority } = options;
      const body = { label, profile, authority, ...settingsOf(settings, options) };
      session.printObject(await session.client().post<Endpoint>('/endpoints', body));
    });
}

function addSet(group: Command, sessionOf: SessionOf): void {
  group
    .command('set <label> [settings...]')
    .description('change settings of an endpoint; what is not named stays')
    .option('--file <file>', 'more settings, YAML or JSON')
    .addHelpText(
      'after',
      `${settingHelp}\n  muster endpoint set branch approval=manual retryAfterSeconds=30\n  muster endpoint set branch protocols.est.authenticators='[password]'\n  muster endpoint set branch protocols.scep={} protocols.cmp={}\n  muster endpoint set branch protocols.scep.authenticators='[static-password, webhook]' decider.url=https://ra.example/decide\n  muster endpoint set branch protocols.est=null`,
    )
    .action(async (label: string, settings: string[], options: WritingOptions, command: Command) => {
      const session = sessionOf(command);
      session.printObject(
        await session
          .client()
          .patch<Endpoint>(`/endpoints/${encodeURIComponent(label)}`, settingsOf(settings, options)),
      );
    });
}

function addDelete(group: Command, sessionOf: SessionOf): void {
  group
    .command('delete <label>')
    .description('delete an endpoint that never enrolled anything')
    .addHelpText('after', '\nExample:\n  muster endpoint delete lab')
    .action(async (label: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      await session.client().delete(`/endpoints/${encodeURIComponent(label)}`);
      session.confirm(`endpoint ${label} deleted`, { label });
    });
}

interface WritingOptions {
  readonly profile?: string;
  readonly authority?: string;
  readonly file?: string;
}

function settingsOf(assignments: readonly string[], { file }: WritingOptions): Record<string, unknown> {
  return { ...(file !== undefined && readSettingsFile(file)), ...parseAssignments(assignments) };
}
