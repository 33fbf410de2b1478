import type { Endpoint } from './endpoint.ts';
import { asVerified, type AttestedBeforehand, type PasswordFact } from './facts.ts';
import type { SharedSecretRow } from './tables.ts';

/** A secret that is found by its text: no MAC secret, no key. */
export type StoredPassword = SharedSecretRow & { readonly usage: 'one-time' | 'device' | 'static' };

/** Whether a stored secret is one that is presented as it is. */
export function isPassword(row: SharedSecretRow): row is StoredPassword {
  const { sealed, reference, usage } = row;
  return sealed === null && reference === null && (usage === 'one-time' || usage === 'device' || usage === 'static');
}

/** Whether a stored secret is one of this endpoint, for this user name, and still good for something at `now`. */
export function serves(row: SharedSecretRow, endpoint: Endpoint, username: string, now: number): boolean {
  if (row.tenant !== endpoint.tenant || row.endpoint !== endpoint.id || row.state === 'revoked') return false;
  // A bound one-time secret outlives its end: its request may wait for an operator, and it admits nothing else.
  if (row.expires_at <= now && row.state === 'free') return false;
  return row.username === null || row.username === username;
}

/** The fact of a one-time or device password that matched. */
export function passwordFact(row: StoredPassword, username: string): PasswordFact {
  return asVerified<PasswordFact>({
    kind: 'password',
    secretId: row.id,
    usage: row.usage,
    state: usableState(row),
    boundKey: row.bound_key ?? undefined,
    subject: row.subject ?? undefined,
    username,
    ...attestedBy(row),
  });
}

/** What a ticket stands for; nothing where the secret is none. */
export function attestedBy({ evidence, spki_sha256 }: SharedSecretRow): { readonly attested?: AttestedBeforehand } {
  if (evidence === null || spki_sha256 === null) return {};
  return { attested: { evidenceId: evidence, spkiSha256: spki_sha256 } };
}

/** The state of a secret that serves, as a fact says it. */
export function usableState({ state }: SharedSecretRow): 'free' | 'bound' | 'spent' {
  return state === 'revoked' ? 'spent' : state;
}
