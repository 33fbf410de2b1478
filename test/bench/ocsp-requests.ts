import { hash } from 'node:crypto';

import { decode, encode } from '../../core/asn1/codec.ts';
import {
  any,
  bitString,
  explicit,
  nullValue,
  octetString,
  oid,
  optional,
  sequence,
  sequenceOf,
  serialInteger,
} from '../../core/asn1/schema.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import { extensionsSchema } from '../../core/x509/extensions.ts';
import { parseSerialNumber, serialNumberOctets } from '../../core/x509/serial-number.ts';

const spki = sequence('SubjectPublicKeyInfo', { algorithm: any, subjectPublicKey: bitString });
const requestSchema = sequence('OCSPRequest', {
  tbsRequest: sequence('TBSRequest', {
    requestList: sequenceOf(
      sequence('Request', {
        reqCert: sequence('CertID', {
          hashAlgorithm: sequence('AlgorithmIdentifier', { algorithm: oid, parameters: nullValue }),
          issuerNameHash: octetString,
          issuerKeyHash: octetString,
          serialNumber: serialInteger,
        }),
      }),
    ),
    requestExtensions: optional(explicit(2, extensionsSchema)),
  }),
});

interface IssuerHashes {
  readonly issuerNameHash: Buffer;
  readonly issuerKeyHash: Buffer;
}

/** What CertIDs of an authority's certificates share; its certificate is DER. */
export function hashesOf(issuer: Uint8Array): IssuerHashes {
  const { subject, publicKey } = parseCertificate(issuer);
  const { bytes } = decode(spki, publicKey.der).subjectPublicKey;
  return { issuerNameHash: hash('sha1', subject.der, 'buffer'), issuerKeyHash: hash('sha1', bytes, 'buffer') };
}

/** A request about one certificate under SHA-1. */
export function ocspRequest(issuer: IssuerHashes, serialNumber: string, nonce?: Uint8Array): Buffer {
  const reqCert = {
    hashAlgorithm: { algorithm: '1.3.14.3.2.26', parameters: null },
    ...issuer,
    serialNumber: serialNumberOctets(parseSerialNumber(serialNumber)),
  };
  const value = nonce && encode(octetString, nonce);
  return Buffer.from(
    encode(requestSchema, {
      tbsRequest: {
        requestList: [{ reqCert }],
        requestExtensions: value && [{ oid: '1.3.6.1.5.5.7.48.1.2', critical: false, value }],
      },
    }),
  );
}

/** A whole HTTP request by GET. */
export function getOf(authority: string, der: Buffer): string {
  return `GET /ocsp/${authority}/${encodeURIComponent(der.toString('base64'))} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
}

/** A whole HTTP request by POST. */
export function postOf(authority: string, der: Buffer): Buffer {
  const head =
    `POST /ocsp/${authority} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/ocsp-request\r\n` +
    `Content-Length: ${der.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), der]);
}
