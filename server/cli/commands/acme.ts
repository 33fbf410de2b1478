import { type Command, Option } from 'commander';
import type { SessionOf } from '../session.ts';
import type { Column } from '../table.ts';
import { parseCount } from '../values.ts';

interface Account {
  readonly id: string;
  readonly endpoint: string;
  readonly status: string;
  readonly contact: readonly string[];
  readonly eabKey?: string;
  readonly createdAt: string;
}

interface Order {
  readonly id: string;
  readonly endpoint: string;
  readonly account: string;
  readonly status: string;
  readonly identifiers: readonly { readonly type: string; readonly value: string }[];
  readonly error?: { readonly detail: string };
  readonly createdAt: string;
}

interface WholeOrder extends Order {
  readonly authorizations: readonly {
    readonly identifier: { readonly type: string; readonly value: string };
    readonly status: string;
    readonly challenge?: string;
    readonly error?: { readonly detail: string };
  }[];
}

const accountColumns: readonly Column<Account>[] = [
  { title: 'id', value: (row) => row.id, whole: true },
  { title: 'status', value: (row) => row.status },
  { title: 'contact', value: (row) => row.contact.join(' ') },
  { title: 'key', value: (row) => row.eabKey },
  { title: 'made at', value: (row) => row.createdAt },
];

const orderColumns: readonly Column<Order>[] = [
  { title: 'id', value: (row) => row.id, whole: true },
  { title: 'endpoint', value: (row) => row.endpoint },
  { title: 'status', value: (row) => row.status },
  { title: 'names', value: namesOf },
  { title: 'error', value: (row) => row.error?.detail },
  { title: 'came at', value: (row) => row.createdAt },
];

/** `muster acme account … | order …` */
export function acmeCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('acme').description('accounts and orders of ACME clients');
  accountCommands(group.command('account').description('accounts'), sessionOf);
  orderCommands(group.command('order').description('orders'), sessionOf);
}

interface AccountOptions {
  readonly limit: number;
  readonly endpoint?: string;
  readonly status?: string;
  readonly key?: string;
}

function accountCommands(group: Command, sessionOf: SessionOf): void {
  group
    .command('list')
    .description('list accounts')
    .option('--endpoint <label>', 'only those of one endpoint')
    .addOption(new Option('--status <status>', 'only those').choices(['valid', 'deactivated', 'revoked']))
    .option('--key <id>', 'only those made with one secret of kind eab')
    .option('--limit <n>', 'at most this many', parseCount, 100)
    .addHelpText('after', '\nExample:\n  muster acme account list --endpoint default')
    .action(({ limit, endpoint, status, key }: AccountOptions, command: Command) =>
      sessionOf(command).printList(accountColumns, '/acme/accounts', { endpoint, status, eabKey: key }, limit),
    );
  group
    .command('show <id>')
    .description('show an account')
    .addHelpText('after', '\nExample:\n  muster acme account show 0190b2a4-…')
    .action(async (id: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      session.printObject(await session.client().get<Account>(`/acme/accounts/${encodeURIComponent(id)}`));
    });
  group
    .command('deactivate <id>')
    .description('end an account for good; its certificates stay')
    .addHelpText('after', '\nExample:\n  muster acme account deactivate 0190b2a4-…')
    .action(async (id: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      const path = `/acme/accounts/${encodeURIComponent(id)}/deactivate`;
      const account = await session.client().post<Account>(path, undefined);
      session.confirm(`account ${account.id} is ${account.status}`, account);
    });
}

function orderCommands(group: Command, sessionOf: SessionOf): void {
  group
    .command('list')
    .description('list orders')
    .option('--account <id>', 'only those of one account')
    .addOption(
      new Option('--status <status>', 'only those').choices(['pending', 'ready', 'processing', 'valid', 'invalid']),
    )
    .option('--limit <n>', 'at most this many', parseCount, 100)
    .addHelpText('after', '\nExample:\n  muster acme order list --status invalid')
    .action(({ limit, account, status }: { limit: number; account?: string; status?: string }, command: Command) =>
      sessionOf(command).printList(orderColumns, '/acme/orders', { account, status }, limit),
    );
  group
    .command('show <id>')
    .description('show an order, and what was proved for each name')
    .addHelpText('after', '\nExample:\n  muster acme order show 0190b2a4-…')
    .action(async (id: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      const order = await session.client().get<WholeOrder>(`/acme/orders/${encodeURIComponent(id)}`);
      session.printObject(session.options.json === true ? order : fieldsOf(order));
    });
}

function fieldsOf({ identifiers, authorizations, error, ...rest }: WholeOrder): object {
  const proofs = authorizations.map(({ identifier, status, challenge, error: fault }) => [
    `${identifier.type} ${identifier.value}`,
    [status, challenge, fault?.detail].filter((part) => part !== undefined).join(', '),
  ]);
  return {
    ...rest,
    names: namesOf({ identifiers }),
    ...(error !== undefined && { error: error.detail }),
    ...(Object.fromEntries(proofs) as object),
  };
}

function namesOf({ identifiers }: Pick<Order, 'identifiers'>): string {
  return identifiers.map(({ value }) => value).join(' ');
}
