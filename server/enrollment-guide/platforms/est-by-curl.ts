import type { Door } from '../guide-facts.ts';

/** Sends `$name.csr` (DER) to simpleenroll and writes the certificate to `$name.pem`, with its chain in muster-chain.pem. */
export function estByCurl({ url, secret }: Door): string[] {
  const post = `-H 'Content-Type: application/pkcs10' --data-binary "@$name.b64" -o "$name.p7b" -w 'HTTP %{http_code}\\n' ${url}/simpleenroll`;
  const curl = 'curl -sS --fail-with-body --cacert muster-tls.pem';
  return [
    'base64 "$name.csr" > "$name.b64"',
    '# HTTP 202: it waits for an operator; the same line again asks what became of it.',
    secret === undefined
      ? `${curl} --cert old.pem --key old.key ${post}`
      : `printf 'user = "%s:%s"\\n' "$name" "$(cat enrollment-secret)" | ${curl} -K - ${post}`,
    'base64 -d "$name.p7b" | openssl pkcs7 -inform DER -print_certs -out "$name.pem"',
    `${curl} ${url}/cacerts | base64 -d | openssl pkcs7 -inform DER -print_certs -out muster-chain.pem`,
    'openssl verify -CAfile muster-root.pem -untrusted muster-chain.pem "$name.pem"',
  ];
}
