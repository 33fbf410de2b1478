import type { Command } from 'commander';
import { ApiClient } from './client.ts';
import { findServer } from './connection.ts';
import { type Column, formatFields, formatTable } from './table.ts';
import type { Terminal } from './terminal.ts';

/** The flags that every command takes. */
interface GlobalOptions {
  readonly server?: string;
  readonly tokenFile?: string;
  readonly caFile?: string;
  readonly data?: string;
  readonly tenant?: string;
  readonly context?: string;
  readonly json?: boolean;
}

/** One run of one command: its flags, the server it speaks to, and how it prints. */
export class Session {
  readonly terminal: Terminal;
  readonly options: GlobalOptions;

  constructor(terminal: Terminal, command: Command) {
    this.terminal = terminal;
    this.options = command.optsWithGlobals<GlobalOptions>();
  }

  /**
   * The server, found when first needed: `--help` and offline commands need none. Speaks about the tenant of `--tenant`, another
   * one, or (null) about none.
   */
  client(tenant: string | null | undefined = this.options.tenant): ApiClient {
    const connection = findServer(this.options, this.terminal);
    return new ApiClient(connection, tenant === undefined ? connection.tenant : (tenant ?? undefined));
  }

  /** Prints text as it is. */
  print(text: string): void {
    this.terminal.stdout.write(text);
  }

  /** Tells the operator something that is not the result. */
  note(text: string): void {
    this.terminal.stderr.write(`${text}\n`);
  }

  /** Prints rows: as JSON with --json, else as a table that fits the terminal. */
  printRows<T>(columns: readonly Column<T>[], rows: readonly T[]): void {
    if (this.options.json === true) this.printJson(rows);
    else if (rows.length === 0) this.note('none');
    else this.print(formatTable(columns, rows, this.terminal.columns));
  }

  /** Prints one object: as JSON with --json, else a line for each member. */
  printObject(object: object): void {
    if (this.options.json === true) this.printJson(object);
    else this.print(formatFields(Object.entries(object)));
  }

  /** Prints a line of confirmation, or with --json the object it is about. */
  confirm(text: string, object: object): void {
    if (this.options.json === true) this.printJson(object);
    else this.print(`${text}\n`);
  }

  /** Prints a list that a server pages. */
  async printList<T>(
    columns: readonly Column<T>[],
    path: string,
    query: Parameters<ApiClient['get']>[1] & object,
    limit: number,
  ): Promise<void> {
    const { items, more } = await this.client().list<T>(path, query, limit);
    this.printRows(columns, items);
    if (more) this.note(`the first ${items.length}; see more with --limit N`);
  }

  /** Prints any value as JSON. */
  printJson(value: unknown): void {
    this.print(`${JSON.stringify(value, null, 2)}\n`);
  }
}

/** Makes the action of a command from a function over its session. */
export type SessionOf = (command: Command) => Session;
