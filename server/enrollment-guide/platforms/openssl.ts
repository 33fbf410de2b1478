import { type Door, type GuideFacts } from '../guide-facts.ts';
import type { Platform } from '../platform.ts';
import { estByCurl } from './est-by-curl.ts';
import { IN_SHELL, keyLine, PRELUDE, requestLines, rootFile, tlsRootFile } from './shell.ts';

/** The openssl program: CMP by itself, EST with curl. */
export const openssl: Platform = {
  name: 'openssl',
  title: 'openssl 3 (EST with curl)',
  comment: '#',
  asks: false,
  placeholders: IN_SHELL,
  fingerprints: 'colons',
  sections: {
    est: { basis: 'executed', keys: 'any', lines: estLines },
    cmp: { basis: 'executed', keys: 'any', lines: cmpLines },
  },
};

function estLines(facts: GuideFacts, door: Door): string[] {
  return [...PRELUDE, ...rootFile(facts), ...tlsRootFile(facts), ...requestLines(facts), ...estByCurl(door)];
}

function cmpLines(facts: GuideFacts, { url, secret }: Door): string[] {
  const credential =
    secret === 'mac' ? '-ref "$reference" -secret file:enrollment-secret' : '-cert old.pem -key old.key';
  return [
    ...PRELUDE,
    ...(secret === 'mac' ? ['reference="${reference:?}"'] : []),
    ...rootFile(facts),
    keyLine(facts),
    `openssl cmp -cmd ir -server ${url} ${credential} -newkey "$name.key" -subject "/CN=$name" -sans "$name" -trusted muster-root.pem -certout "$name.pem"`,
    'openssl x509 -in "$name.pem" -noout -subject -issuer -enddate',
  ];
}
