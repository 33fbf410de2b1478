import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import { PeerError } from '../../../core/errors/muster-error.ts';
import { X509Error } from '../../../core/x509/x509-error.ts';
import { decodeOcspRequest } from '../../../protocols/status/messages.ts';
import { decodeGetRequest, parseStatusPath } from '../../../protocols/status/request-path.ts';
import type { FuzzTarget } from '../run-fuzz.ts';
import { seedFile } from '../seed-files.ts';

/** What the OCSP responder reads: the body of a POST, the path of a GET. */
export const statusTargets: readonly FuzzTarget[] = [
  {
    name: 'ocsp request',
    seeds: () => [seedFile('ocsp-request')],
    decode: decodeOcspRequest,
    allowedErrors: [Asn1Error, X509Error, PeerError],
  },
  {
    name: 'ocsp path',
    seeds: () => {
      const text = Buffer.from(seedFile('ocsp-request')).toString('base64');
      return [text, encodeURIComponent(text), text.replace(/=+$/, '')].map((encoded) =>
        Buffer.from(`${AUTHORITY}${encoded}`),
      );
    },
    decode(bytes) {
      const path = parseStatusPath(Buffer.from(bytes).toString('latin1'));
      if (path === undefined) throw new PeerError('malformed-request', 'names no authority');
      return decodeGetRequest(path.encoded);
    },
    allowedErrors: [Asn1Error, X509Error, PeerError],
  },
];

const AUTHORITY = '/ocsp/0190b2a4-0000-7000-8000-000000000001/';
