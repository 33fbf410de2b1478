import type { IssuedMacSecret } from '../../core/enrollment/sealed-secrets.ts';

/**
 * A shell line that makes a key and enrols over CMP with openssl 3.0 or newer, the messages under a MAC, and verifies the
 * chain. The secret reaches openssl by its environment, so that no process list shows it.
 */
export function cmpCommand(
  base: string,
  label: string,
  rootCertificate: string,
  { reference, secret }: Pick<IssuedMacSecret, 'reference' | 'secret'>,
): string {
  const { host } = new URL(base);
  const root = quoted(rootCertificate);
  return [
    'd=$(mktemp -d)',
    'openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$d/router1.key" 2>/dev/null',
    `MUSTER_SECRET=${secret.reveal()} openssl cmp -config "" -cmd ir -server ${host} -path /.well-known/cmp/p/${label} -ref ${reference} -secret env:MUSTER_SECRET -newkey "$d/router1.key" -subject /CN=router1 -sans router1.example -certout "$d/router1.pem" -extracertsout "$d/ca.pem"`,
    `openssl verify -CAfile ${root} -untrusted "$d/ca.pem" "$d/router1.pem"`,
  ].join(' && ');
}

function quoted(path: string): string {
  return `'${path.replaceAll("'", `'\\''`)}'`;
}
