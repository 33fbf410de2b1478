import { hash, pbkdf2Sync } from 'node:crypto';

import { hashAgain } from './iterated-hash.ts';
import type { KeyDerivation } from './mac-scheme.ts';

/** A derivation that takes work. */
export type IteratedDerivation = Exclude<KeyDerivation, { readonly kind: 'none' }>;

/** Derives the key of a MAC here and now; the event loop waits. `secret` is the text of the shared secret in UTF-8. */
export function deriveKey(derivation: IteratedDerivation, secret: Uint8Array): Uint8Array {
  const { salt, hash: name, iterations, octets } = derivation;
  if (derivation.kind === 'pbkdf2') return pbkdf2Sync(secret, salt, iterations, octets, name);
  // RFC 9810 §5.1.3.1: "the salt value is appended to the shared secret input. The OWF is then applied iterationCount times".
  const first = hash(name, Buffer.concat([secret, salt]), 'buffer');
  return hashAgain(name, first, iterations - 1).subarray(0, octets);
}
