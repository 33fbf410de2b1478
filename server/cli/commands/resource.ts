import { type Command, Option } from 'commander';
import type { SessionOf } from '../session.ts';
import type { Column } from '../table.ts';
import { parseAssignments, parseCount, readSettingsFile } from '../values.ts';

/** One kind of object of the API on the command line. */
export interface ResourceCommands<T> {
  /** `muster NOUN …`, and what messages call it. */
  readonly noun: string;
  /** Below `/api/v1`. */
  readonly path: string;
  readonly columns: readonly Column<T>[];
  /** What `list` may be narrowed by: flag, query parameter, description, and the values there are. */
  readonly filters?: readonly (readonly [string, string, string, (readonly string[])?])[];
  /** An id or name for examples. */
  readonly example: string;
}

interface WritingOptions {
  readonly file?: string;
  readonly dryRun: boolean;
  readonly ifMatch?: string;
}

const settingHelp = 'Settings are KEY=VALUE; values are YAML, `a.b=c` reaches inside, null takes away.';

/** `list` and `show`. */
export function addReading<T>(group: Command, sessionOf: SessionOf, kind: ResourceCommands<T>): void {
  const { noun, path, columns, filters = [], example } = kind;
  const list = group
    .command('list')
    .description(`list ${path.slice(1).replaceAll('-', ' ')}`)
    .option('--limit <n>', 'at most this many', parseCount, 100);
  for (const [flag, , description, choices] of filters) {
    const option = new Option(`--${flag} <value>`, description);
    list.addOption(choices === undefined ? option : option.choices(choices));
  }
  list
    .addHelpText(
      'after',
      `\nExample:\n  muster ${nameOf(group)} list${filters[0] ? ` --${filters[0][0]} …` : ''} --json`,
    )
    .action(({ limit, ...options }: { limit: number } & Record<string, unknown>, command: Command) => {
      const query = Object.fromEntries(filters.map(([flag, parameter]) => [parameter, options[camelCase(flag)]]));
      return sessionOf(command).printList(columns, path, query as Record<string, string | undefined>, limit);
    });
  group
    .command(`show <${noun.replaceAll(' ', '-')}>`)
    .description(`show ${article(noun)}`)
    .addHelpText('after', `\nExample:\n  muster ${nameOf(group)} show ${example}`)
    .action(async (key: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      session.printObject(await session.client().get<object>(memberOf(kind, key)));
    });
}

/** `create NAME [KEY=VALUE…]`. */
export function addCreation<T>(
  group: Command,
  sessionOf: SessionOf,
  kind: ResourceCommands<T>,
  examples: readonly string[],
): void {
  writing(group.command('create <name> [settings...]'), `create ${article(kind.noun)}`, group, examples).action(
    async (name: string, settings: string[], options: WritingOptions, command: Command) => {
      const session = sessionOf(command);
      const body = { name, ...settingsOf(settings, options) };
      session.printObject(await session.client().post<object>(pathOf(kind.path, options), body));
    },
  );
}

/** `set KEY [KEY=VALUE…]`. */
export function addChange<T>(
  group: Command,
  sessionOf: SessionOf,
  kind: ResourceCommands<T>,
  examples: readonly string[],
): void {
  writing(
    group.command(`set <${kind.noun}> [settings...]`),
    'change settings; what is not named stays',
    group,
    examples,
  )
    .option('--if-match <etag>', 'only if it still has this ETag')
    .action(async (key: string, settings: string[], options: WritingOptions, command: Command) => {
      const session = sessionOf(command);
      const changes = settingsOf(settings, options);
      session.printObject(
        await session.client().patch<object>(pathOf(memberOf(kind, key), options), changes, options.ifMatch),
      );
    });
}

/** `delete KEY`. */
export function addRemoval<T>(
  group: Command,
  sessionOf: SessionOf,
  kind: ResourceCommands<T>,
  description: string,
): void {
  group
    .command(`delete <${kind.noun.replaceAll(' ', '-')}>`)
    .description(description)
    .addHelpText('after', `\nExample:\n  muster ${nameOf(group)} delete ${kind.example}`)
    .action(async (key: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      await session.client().delete(memberOf(kind, key));
      session.confirm(`${kind.noun} ${key} deleted`, { deleted: key });
    });
}

/** `VERB KEY`: one step of an object's life. */
export function addStep<T extends object>(
  group: Command,
  sessionOf: SessionOf,
  kind: ResourceCommands<T>,
  step: {
    readonly verb: string;
    readonly description: string;
    readonly told: (done: T) => string;
  },
): void {
  group
    .command(`${step.verb} <${kind.noun}>`)
    .description(step.description)
    .addHelpText('after', `\nExample:\n  muster ${nameOf(group)} ${step.verb} ${kind.example}`)
    .action(async (key: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      const done = await session.client().post<T>(`${memberOf(kind, key)}/${step.verb}`, undefined);
      session.confirm(step.told(done), done);
    });
}

function writing(command: Command, description: string, group: Command, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  muster ${nameOf(group)} ${example}`).join('\n');
  return command
    .description(description)
    .option('--file <file>', 'more settings, YAML or JSON')
    .option('--dry-run', 'show what would be, and leave everything as it is', false)
    .addHelpText('after', `\n${settingHelp}\n\nExamples:\n${lines}`);
}

function settingsOf(assignments: readonly string[], { file }: WritingOptions): Record<string, unknown> {
  return { ...(file !== undefined && readSettingsFile(file)), ...parseAssignments(assignments) };
}

function pathOf(path: string, { dryRun }: WritingOptions): string {
  return dryRun ? `${path}?dryRun=true` : path;
}

function memberOf({ path }: { readonly path: string }, key: string): string {
  return `${path}/${encodeURIComponent(key)}`;
}

function nameOf(group: Command): string {
  const parent = group.parent?.name();
  return parent === undefined || parent === 'muster' ? group.name() : `${parent} ${group.name()}`;
}

function camelCase(flag: string): string {
  return flag.replace(/-([a-z])/g, (_match, letter: string) => letter.toUpperCase());
}

function article(noun: string): string {
  return `${/^[aeio]/.test(noun) ? 'an' : 'a'} ${noun}`;
}
