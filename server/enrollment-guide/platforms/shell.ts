import type { EcCurve } from '../../../core/authority/profile.ts';
import { type GuideFacts, rsaBits } from '../guide-facts.ts';
import type { Placeholders } from '../platform.ts';

/** Shell lines that several programs share. What they need to know beforehand stands in variables and files, never in arguments. */

const OPENSSL_CURVES: Record<EcCurve, string> = { 'P-256': 'prime256v1', 'P-384': 'secp384r1', 'P-521': 'secp521r1' };

/** The device's name in `$name`, which also names its files; nobody else reads them. */
export const PRELUDE = ['set -eu', 'umask 077', 'name="${name:-router1.example}"'] as const;

/** Secrets stand in a file, so that no process list shows them. */
export const IN_SHELL: Placeholders = {
  device: '$name',
  secret: 'the file enrollment-secret',
  reference: '$reference',
};

/** The root into muster-root.pem. */
export function rootFile({ root }: GuideFacts): string[] {
  return ["cat > muster-root.pem <<'END'", root.pem, 'END'];
}

/** The root of the server's TLS into muster-tls.pem. */
export function tlsRootFile({ tlsRoot }: GuideFacts): string[] {
  return ["cat > muster-tls.pem <<'END'", tlsRoot.pem, 'END'];
}

/** A key and a request by openssl, in `$name.key` and `$name.csr` (DER). */
export function requestLines(facts: GuideFacts, kind: 'preferred' | 'rsa' = 'preferred'): string[] {
  return [
    `openssl req -new -newkey ${newKey(facts, kind)} -nodes -subj "/CN=$name" -addext "subjectAltName=DNS:$name" -keyout "$name.key" -outform DER -out "$name.csr"`,
  ];
}

/** A key by openssl in `$name.key`. */
export function keyLine(facts: GuideFacts): string {
  const [curve] = facts.keys.ec;
  return curve === undefined
    ? `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:${rsaBits(facts)} -out "$name.key"`
    : `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:${OPENSSL_CURVES[curve]} -out "$name.key"`;
}

function newKey(facts: GuideFacts, kind: 'preferred' | 'rsa'): string {
  const [curve] = facts.keys.ec;
  return curve === undefined || kind === 'rsa'
    ? `rsa:${rsaBits(facts)}`
    : `ec -pkeyopt ec_paramgen_curve:${OPENSSL_CURVES[curve]}`;
}
