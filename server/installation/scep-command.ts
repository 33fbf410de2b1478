import type { Secret } from '../../core/keys/secret.ts';

/**
 * A shell line that makes a key with openssl, enrols over SCEP with strongSwan's pki (Debian: strongswan-pki) and verifies the
 * chain: no client that every system has can write SCEP. The challenge stands in a file of a closed folder, so that no process
 * list shows it.
 */
export function scepCommand(base: string, label: string, rootCertificate: string, challenge: Secret): string {
  const url = `${base}/scep/${label}`;
  const authorities = '--cacert "$d/ca.pem" --cacert "$d/ca-1.pem"';
  return [
    'd=$(mktemp -d)',
    'openssl genrsa -out "$d/switch1.key" 2048 2>/dev/null',
    `pki --scepca --url ${url} --caout "$d/ca.pem" --raout "$d/ra.pem" --outform pem 2>/dev/null`,
    `printf -- '--password %s\\n' ${challenge.reveal()} > "$d/options"`,
    `pki --scep --options "$d/options" --url ${url} --in "$d/switch1.key" --dn CN=switch1 --san switch1.example --cacert-enc "$d/ra.pem" --cacert-sig "$d/ra.pem" ${authorities} --outform pem > "$d/switch1.pem"`,
    `openssl verify -CAfile ${quoted(rootCertificate)} -untrusted "$d/ca-1.pem" "$d/switch1.pem"`,
  ].join(' && ');
}

function quoted(path: string): string {
  return `'${path.replaceAll("'", `'\\''`)}'`;
}
