import { type Door, type GuideFacts, hasRootOfItsOwn, rsaBits } from '../guide-facts.ts';
import type { Platform } from '../platform.ts';
import { IN_SHELL, PRELUDE, requestLines, rootFile, tlsRootFile } from './shell.ts';

/** strongSwan's pki program: EST and SCEP. */
export const strongswan: Platform = {
  name: 'strongswan',
  title: 'strongSwan pki 5.9.8 and later',
  comment: '#',
  asks: false,
  placeholders: IN_SHELL,
  fingerprints: 'colons',
  sections: {
    est: { basis: 'executed', keys: 'any', lines: estLines },
    scep: { basis: 'executed', keys: 'rsa', lines: scepLines },
  },
};

// Options in a file: the password is in no process list.
function estLines(facts: GuideFacts, { url, secret }: Door): string[] {
  const label = facts.isDefault ? '' : ` --label ${facts.label}`;
  const server = `--url ${new URL(url).origin}${label} --cacert muster-tls.pem`;
  return [
    ...PRELUDE,
    ...(label === '' ? [] : ['# --label needs strongSwan 5.9.11.']),
    ...rootFile(facts),
    ...tlsRootFile(facts),
    ...requestLines(facts),
    ...(secret === undefined
      ? [`pki --est ${server} --in "$name.csr" --cert old.pem --key old.key --outform pem > "$name.pem"`]
      : [
          `printf '%s\\n' '${server}' "--userpass $name:$(cat enrollment-secret)" > est.opt`,
          'pki --est --options est.opt --in "$name.csr" --outform pem > "$name.pem"',
        ]),
    `pki --estca ${server} --caout muster-chain.pem --outform pem --force`,
    'openssl verify -CAfile muster-root.pem -untrusted muster-chain-1.pem "$name.pem"',
  ];
}

// GetCACert comes over HTTP from anybody: the RA certificate counts once it leads to the root.
function scepLines(facts: GuideFacts, { url, secret }: Door): string[] {
  const below = hasRootOfItsOwn(facts);
  const ra = '--cacert-enc muster-ra.pem --cacert-sig muster-ra.pem --cacert muster-root.pem';
  const chain = below ? ' --cacert muster-ca-1.pem' : '';
  const request = `--url ${url} --in "$name.key" --dn "CN=$name" --san "$name" ${ra}${chain}`;
  return [
    ...PRELUDE,
    ...rootFile(facts),
    `pki --scepca --url ${url} --caout muster-ca.pem --raout muster-ra.pem --outform pem --force`,
    `openssl verify -CAfile muster-root.pem${below ? ' -untrusted muster-ca-1.pem' : ''} muster-ra.pem`,
    `openssl genrsa -traditional -out "$name.key" ${rsaBits(facts)}`,
    ...(secret === undefined
      ? [`pki --scep ${request} --cert old.pem --key old.key --outform pem > "$name.pem"`]
      : [
          `printf '%s\\n' "--password $(cat enrollment-secret)" > scep.opt`,
          `pki --scep --options scep.opt ${request} --outform pem > "$name.pem"`,
        ]),
  ];
}
