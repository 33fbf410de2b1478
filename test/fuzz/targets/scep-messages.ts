import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import type { RecipientKey } from '../../../core/cms/enveloped-data.ts';
import { parseSignedData } from '../../../core/cms/signed-data.ts';
import { PeerError } from '../../../core/errors/muster-error.ts';
import { decodeCertificateReference } from '../../../protocols/scep/certificate-reference.ts';
import { decodeRequest } from '../../../protocols/scep/certification-request.ts';
import { readEnvelope } from '../../../protocols/scep/envelope.ts';
import { readEvenly } from '../../../protocols/scep/even-work.ts';
import { decodeMessage, verifyMessage } from '../../../protocols/scep/pki-message.ts';
import { requestedFields } from '../../../protocols/scep/transaction.ts';
import { decodeGetMessage, decodePostMessage, parseQuery } from '../../../protocols/scep/request-query.ts';
import { isSelfMade } from '../../../protocols/scep/signer-certificate.ts';
import type { FuzzTarget } from '../run-fuzz.ts';
import { seedFile } from '../seed-files.ts';

/** What SCEP reads of whoever sends it, and what it reads once a key has decrypted it. */
export const scepTargets: readonly FuzzTarget[] = [
  {
    name: 'scep pkiMessage',
    seeds: () => [seedFile('scep-pkcs-req')],
    decode: (bytes) => verifyMessage(decodeMessage(bytes), true),
    allowedErrors: [PeerError],
  },
  {
    name: 'scep pkcsPKIEnvelope',
    seeds: () => [envelope(), seedFile('enveloped-data-rsa'), seedFile('enveloped-data-rsa-ber')],
    decode(bytes) {
      const found = readEnvelope(bytes, [KEY], true);
      if ('failInfo' in found) throw new PeerError('malformed-request', found.detail);
      return found.open();
    },
    allowedErrors: [PeerError],
  },
  {
    name: 'scep decrypted request',
    seeds: () => ['scep-request-md5', 'certification-request-rsa', 'certification-request-p256'].map(seedFile),
    decode: (bytes) => requestedFields(decodeRequest(bytes, true).request),
    allowedErrors: [Asn1Error],
  },
  {
    name: 'scep decrypted reference',
    seeds: () => [seedFile('scep-reference')],
    decode(bytes) {
      const read = readEvenly(bytes, decodeCertificateReference, seedFile('scep-reference'));
      return read ?? decodeCertificateReference(bytes);
    },
    allowedErrors: [Asn1Error],
  },
  {
    name: 'scep signer certificate',
    seeds: () => [seedFile('scep-self-signed'), seedFile('certificate-ca-rsa')],
    decode(bytes) {
      if (!isSelfMade(bytes)) throw new PeerError('not-found', 'somebody else made it');
    },
    allowedErrors: [PeerError],
  },
  {
    name: 'scep query',
    seeds: () => ['operation=GetCACert&message=0', `operation=PKIOperation&message=${base64()}`].map(ascii),
    decode(bytes) {
      const { operation, message } = parseQuery(text(bytes));
      return operation === 'PKIOperation' ? decodeGetMessage(message) : operation;
    },
    allowedErrors: [PeerError],
  },
  {
    name: 'scep body',
    seeds: () => [ascii(base64()), ascii(base64().replaceAll(/.{64}/g, '$&\r\n'))],
    decode: decodePostMessage,
    allowedErrors: [PeerError],
  },
];

/** Opens nothing: what becomes of the content is the other targets' affair. */
const KEY: RecipientKey = {
  kind: 'rsa',
  certificate: seedFile('certificate-recipient-rsa'),
  decryptKeyTransport: async ({ keyLength }) => new Uint8Array(keyLength),
};

function envelope(): Uint8Array {
  return parseSignedData(seedFile('scep-pkcs-req')).content!;
}

function base64(): string {
  return Buffer.from(seedFile('scep-pkcs-req')).toString('base64');
}

function ascii(characters: string): Uint8Array {
  return new TextEncoder().encode(characters);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
