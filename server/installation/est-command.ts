import type { Secret } from '../../core/keys/secret.ts';

/**
 * A shell line that makes a key and a request with openssl, enrols over EST with curl and verifies the chain. The
 * password reaches curl by a configuration on standard input, so that no process list shows it.
 */
export function estCommand(base: string, label: string, rootCertificate: string, password: Secret): string {
  const url = `${base}/.well-known/est/${label}`;
  const root = quoted(rootCertificate);
  return [
    'd=$(mktemp -d)',
    `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=router1 -addext subjectAltName=DNS:router1.example -keyout "$d/router1.key" -outform DER -out "$d/router1.csr" 2>/dev/null`,
    'openssl base64 -in "$d/router1.csr" -out "$d/router1.b64"',
    `printf 'user = "router1:%s"\\n' ${password.reveal()} | curl -sS --fail-with-body -K - --cacert ${root} -H 'Content-Type: application/pkcs10' --data-binary @"$d/router1.b64" -o "$d/router1.p7b" ${url}/simpleenroll`,
    'openssl base64 -d -in "$d/router1.p7b" | openssl pkcs7 -inform DER -print_certs -out "$d/router1.pem"',
    `curl -sS --fail-with-body --cacert ${root} ${url}/cacerts | openssl base64 -d | openssl pkcs7 -inform DER -print_certs -out "$d/ca.pem"`,
    `openssl verify -CAfile ${root} -untrusted "$d/ca.pem" "$d/router1.pem"`,
  ].join(' && ');
}

function quoted(path: string): string {
  return `'${path.replaceAll("'", `'\\''`)}'`;
}
