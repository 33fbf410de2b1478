import type { IssuedMacSecret } from '../../core/enrollment/sealed-secrets.ts';

/** The name that the announced key vouches for: no challenge is needed, so that it need not be in any DNS. */
export const ANNOUNCED_NAME = 'router1.example';

/**
 * A shell line that registers an ACME account by external account binding and enrols with lego 4 (Debian package `lego`), and
 * verifies the chain. lego takes the key on its command line only; it serves once.
 */
export function acmeCommand(
  base: string,
  label: string,
  rootCertificate: string,
  { reference, secret }: Pick<IssuedMacSecret, 'reference' | 'secret'>,
): string {
  const root = quoted(rootCertificate);
  const directory = `${base}/acme/${label}/directory`;
  const certificate = `"$d/certificates/${ANNOUNCED_NAME}.crt"`;
  return [
    'd=$(mktemp -d)',
    `LEGO_CA_CERTIFICATES=${root} lego --server ${directory} --accept-tos --email admin@${ANNOUNCED_NAME} --eab --kid ${reference} --hmac ${secret.reveal()} --path "$d" --http --domains ${ANNOUNCED_NAME} run`,
    `openssl verify -CAfile ${root} -untrusted ${certificate} ${certificate}`,
  ].join(' && ');
}

function quoted(path: string): string {
  return `'${path.replaceAll("'", `'\\''`)}'`;
}
