import { type Door, type GuideFacts } from '../guide-facts.ts';
import type { Platform } from '../platform.ts';
import { estByCurl } from './est-by-curl.ts';
import { IN_SHELL, PRELUDE, rootFile, tlsRootFile } from './shell.ts';

/** curl by EST, for a request that exists already: made by a device that has no client of its own, for instance. */
export const curl: Platform = {
  name: 'curl',
  title: 'curl, with a request that exists',
  comment: '#',
  asks: false,
  placeholders: IN_SHELL,
  fingerprints: 'colons',
  sections: { est: { basis: 'executed', keys: 'any', lines: estLines } },
};

function estLines(facts: GuideFacts, door: Door): string[] {
  return [
    ...PRELUDE,
    '# The request stands in $name.csr, DER or PEM:',
    'openssl req -in "$name.csr" -outform DER -out "$name.der" || openssl req -inform DER -in "$name.csr" -outform DER -out "$name.der"',
    'mv "$name.der" "$name.csr"',
    ...rootFile(facts),
    ...tlsRootFile(facts),
    ...estByCurl(door),
  ];
}
