import { resolve } from 'node:path';
import type { Command } from 'commander';
import { readContexts, writeContexts } from '../contexts.ts';
import { CliError, EXIT } from '../exit-code.ts';
import type { Session, SessionOf } from '../session.ts';

/** `muster context …`: names for several servers. */
export function contextCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('context').description('names for several servers');
  group
    .command('add <name>')
    .description('name the server that --server, --token-file, --ca-file and --tenant say')
    .addHelpText(
      'after',
      '\nExample:\n  muster context add lab --server https://lab.example:9443 --token-file ~/.muster/lab.token --ca-file lab-root.pem',
    )
    .action((name: string, _options: object, command: Command) => add(sessionOf(command), name));
  group
    .command('use <name>')
    .description('mean this one when none is said')
    .addHelpText('after', '\nExample:\n  muster context use lab')
    .action((name: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      const { servers } = readContexts(session.terminal);
      if (!(name in servers)) throw new CliError(EXIT.notFound, `there is no context ${name}`);
      writeContexts(session.terminal, { servers, current: name });
      session.confirm(`the context is ${name}`, { current: name });
    });
  group
    .command('list')
    .description('list contexts')
    .addHelpText('after', '\nExample:\n  muster context list')
    .action((_options: object, command: Command) => list(sessionOf(command)));
  group
    .command('remove <name>')
    .description('forget a context; its files stay')
    .addHelpText('after', '\nExample:\n  muster context remove lab')
    .action((name: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      const { servers, current } = readContexts(session.terminal);
      const { [name]: gone, ...rest } = servers;
      if (gone === undefined) throw new CliError(EXIT.notFound, `there is no context ${name}`);
      const next = current !== undefined && current !== name ? { current } : {};
      writeContexts(session.terminal, { servers: rest, ...next });
      session.confirm(`context ${name} removed`, { removed: name });
    });
}

function add(session: Session, name: string): void {
  const { options, terminal } = session;
  const { server, tokenFile, caFile, tenant } = options;
  if (server === undefined || tokenFile === undefined)
    throw new CliError(EXIT.usage, 'expected --server and --token-file: a context is where to go and with which token');
  const absolute = (file: string): string => resolve(terminal.folder, file);
  const { servers, current } = readContexts(terminal);
  const named = {
    server,
    tokenFile: absolute(tokenFile),
    ...(caFile !== undefined && { caFile: absolute(caFile) }),
    ...(tenant !== undefined && { tenant }),
  };
  writeContexts(terminal, { servers: { ...servers, [name]: named }, current: current ?? name });
  session.confirm(`context ${name} is ${server}`, named);
}

function list(session: Session): void {
  const { current, servers } = readContexts(session.terminal);
  const rows = Object.entries(servers).map(([name, { server, tenant }]) => ({
    name,
    server,
    tenant,
    current: name === current,
  }));
  session.printRows(
    [
      { title: 'name', value: (row) => row.name, whole: true },
      { title: 'server', value: (row) => row.server },
      { title: 'tenant', value: (row) => row.tenant },
      { title: 'current', value: (row) => (row.current ? 'yes' : '') },
    ],
    rows,
  );
}
