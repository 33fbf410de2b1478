import { PeerError, PolicyError } from '../../../core/errors/muster-error.ts';
import { encodePem } from '../../../core/x509/pem.ts';
import { parseBasicCredentials } from '../../../protocols/est/basic-credentials.ts';
import { readKeyProtection } from '../../../protocols/est/key-protection.ts';
import { decodeEnrollmentMessage } from '../../../protocols/est/messages.ts';
import { parsePath } from '../../../protocols/est/operation.ts';
import type { FuzzTarget } from '../run-fuzz.ts';
import { seedFile } from '../seed-files.ts';

/** What EST reads before it knows who speaks: the body of a request, the Authorization header, the path. */
export const estTargets: readonly FuzzTarget[] = [
  {
    name: 'est enrolment body',
    seeds: bodies,
    decode: (body) => readKeyProtection(decodeEnrollmentMessage(body).request.attributes),
    allowedErrors: [PeerError],
  },
  {
    name: 'est Authorization header',
    seeds: () => [ascii(`Basic ${Buffer.from('router1:secret').toString('base64')}`)],
    decode: (header) => parseBasicCredentials(text(header)),
    allowedErrors: [PolicyError],
  },
  {
    name: 'est path',
    seeds: () => ['simpleenroll', 'routers/simplereenroll', 'cacerts/cacerts'].map(ascii),
    decode(path) {
      if (parsePath(text(path)) === undefined) throw new PeerError('not-found', 'names no operation');
    },
    allowedErrors: [PeerError],
  },
];

function bodies(): readonly Uint8Array[] {
  const der = seedFile('certification-request-p256');
  const base64 = Buffer.from(der).toString('base64');
  return [
    der,
    ascii(base64),
    ascii(base64.replaceAll(/.{64}/g, '$&\r\n')),
    ascii(encodePem('CERTIFICATE REQUEST', der)),
  ];
}

function ascii(characters: string): Uint8Array {
  return new TextEncoder().encode(characters);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
