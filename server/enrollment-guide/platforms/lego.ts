import type { Door, GuideFacts } from '../guide-facts.ts';
import type { Platform } from '../platform.ts';
import { IN_SHELL, PRELUDE, rootFile, tlsRootFile } from './shell.ts';

/** The lego program, as Debian has it: ACME under a key that vouches for the device's name. */
export const lego: Platform = {
  name: 'lego',
  title: 'lego 4',
  comment: '#',
  asks: false,
  placeholders: IN_SHELL,
  fingerprints: 'colons',
  sections: {
    acme: { basis: 'executed', keys: 'any', lines: acmeLines },
  },
};

function acmeLines(facts: GuideFacts, { url, secret }: Door): string[] {
  const isBound = secret === 'eab';
  const binding = isBound ? ' --eab --kid "$reference" --hmac "$(cat enrollment-secret)"' : '';
  return [
    ...PRELUDE,
    ...(isBound
      ? ['reference="${reference:?}"', '# lego takes the key as an argument only; it serves one account.']
      : []),
    ...rootFile(facts),
    ...tlsRootFile(facts),
    `LEGO_CA_CERTIFICATES=muster-tls.pem lego --server ${url} --accept-tos --email "admin@$name"${binding} --path lego --http --domains "$name" run`,
    'cp "lego/certificates/$name.crt" "$name.pem"',
    'cp "lego/certificates/$name.key" "$name.key"',
    'openssl verify -CAfile muster-root.pem -untrusted "$name.pem" "$name.pem"',
  ];
}
