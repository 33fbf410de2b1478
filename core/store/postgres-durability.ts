import type { ClientBase } from 'pg';
import { InternalError } from '../errors/muster-error.ts';

/** Settings that decide whether a COMMIT survives a power cut, and which text can be stored. */
const REQUIRED: readonly { name: string; accepts: (value: string) => boolean }[] = [
  { name: 'fsync', accepts: (value) => value === 'on' },
  { name: 'full_page_writes', accepts: (value) => value === 'on' },
  // local, remote_write and remote_apply all flush to this server's disk before answering; off does not.
  { name: 'synchronous_commit', accepts: (value) => value !== 'off' },
  { name: 'server_encoding', accepts: (value) => value === 'UTF8' },
];

/** Reads the server's settings back. @throws InternalError when one is too weak for a CA. */
export async function assertDurable(client: ClientBase): Promise<void> {
  for (const { name, accepts } of REQUIRED) {
    const { rows } = await client.query<Record<string, string>>(`SHOW ${name}`);
    const value = rows[0]?.[name] ?? 'nothing';
    if (!accepts(value)) throw new InternalError(`PostgreSQL answered ${name} = ${value}, too weak for a CA`);
  }
}
