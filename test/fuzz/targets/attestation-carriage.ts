import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import { carriedEvidence } from '../../../core/enrollment/carried-evidence.ts';
import { PeerError } from '../../../core/errors/muster-error.ts';
import {
  ATTESTATION_STATEMENT,
  attestationAttribute,
  decodeAttestationBundle,
  decodeTpmCertifyStatement,
  decodeTpmQuoteStatement,
  encodeAttestationBundle,
  encodeTpmCertifyStatement,
  encodeTpmQuoteStatement,
} from '../../../core/x509/attestation-bundle.ts';
import { parseCertificationRequest, requestToKeep } from '../../../core/x509/certification-request.ts';
import { certificationRequestIn } from '../../../protocols/attestation/matter-elements.ts';
import {
  decodeMatterRequest,
  decodeNonceRequest,
  decodeRegistration,
  decodeSecret,
  decodeTicketRequest,
} from '../../../protocols/attestation/messages.ts';
import { CmpFault } from '../../../protocols/cmp/errors.ts';
import { decodeNonceRequest as decodeCmpNonceRequest } from '../../../protocols/cmp/freshness.ts';
import { decodeNonceRequest as decodeEstNonceRequest } from '../../../protocols/est/freshness.ts';
import { makeCsr } from '../../support/test-pki.ts';
import type { FuzzTarget } from '../run-fuzz.ts';
import { seedFile } from '../seed-files.ts';

const OCTETS = Uint8Array.of(0xff, 0x54, 0x43, 0x47);
const CERTIFY = encodeTpmCertifyStatement({ attest: OCTETS, signature: OCTETS, publicArea: OCTETS });
const QUOTE = encodeTpmQuoteStatement({ attest: OCTETS, signature: OCTETS, pcrValues: OCTETS });
const BUNDLE = {
  statements: [
    { type: ATTESTATION_STATEMENT.tpmCertify, statement: CERTIFY },
    { type: ATTESTATION_STATEMENT.tpmQuote, statement: QUOTE },
  ],
  certificates: [seedFile('certificate-p256')],
};
const ONE = 'AQ==';
const MATTER = { dac: ONE, pai: ONE, challenge: ONE, nocsr: ONE, nocsrSignature: ONE };

/** What carries evidence, and the front door. */
export const attestationCarriageTargets: readonly FuzzTarget[] = [
  {
    name: 'carriage bundle',
    seeds: () => [encodeAttestationBundle(BUNDLE)],
    decode: readBundle,
    allowedErrors: [Asn1Error],
  },
  {
    name: 'carriage in a request',
    seeds: () => [makeCsr({ attributes: [attestationAttribute(BUNDLE)] }).der],
    decode: readRequest,
    allowedErrors: [Asn1Error],
  },
  {
    name: 'carriage front door registration',
    seeds: () => [json({ ek: ONE, ekCerts: [ONE], params: { public: ONE, createData: ONE } })],
    decode: decodeRegistration,
    allowedErrors: [PeerError],
  },
  {
    name: 'carriage front door secret',
    seeds: () => [json({ secret: ONE })],
    decode: decodeSecret,
    allowedErrors: [PeerError],
  },
  {
    name: 'carriage front door ticket',
    seeds: () => [json({ evidence: { type: 'matter-dac', ...MATTER }, publicKey: spki(), device: 'r1' })],
    decode: decodeTicketRequest,
    allowedErrors: [PeerError],
  },
  {
    name: 'carriage front door matter',
    seeds: () => [json(MATTER)],
    decode: decodeMatterRequest,
    allowedErrors: [PeerError],
  },
  {
    name: 'carriage NOCSR elements',
    seeds: () => [Uint8Array.of(0x15, 0x30, 0x01, 0x02, 0x05, 0x00, 0x18)],
    decode: certificationRequestIn,
    allowedErrors: [PeerError],
  },
  {
    name: 'carriage nonce requests in JSON',
    seeds: () => [json({ len: 32, type: '1.2.3', reqInfo: {} })],
    decode(bytes) {
      decodeEstNonceRequest(bytes);
      decodeNonceRequest(bytes);
    },
    allowedErrors: [PeerError],
  },
  {
    name: 'carriage nonce request of CMP',
    seeds: () => [Uint8Array.of(0x30, 0x03, 0x02, 0x01, 0x20)],
    decode: decodeCmpNonceRequest,
    allowedErrors: [CmpFault],
  },
];

function readBundle(der: Uint8Array): void {
  for (const { type, statement } of decodeAttestationBundle(der).statements) {
    if (type === ATTESTATION_STATEMENT.tpmCertify) decodeTpmCertifyStatement(statement);
    if (type === ATTESTATION_STATEMENT.tpmQuote) decodeTpmQuoteStatement(statement);
  }
}

/** Evidence that cannot be read is evidence all the same: looking for it never fails. */
function readRequest(der: Uint8Array): void {
  const request = parseCertificationRequest(der);
  carriedEvidence(request);
  if (carriedEvidence(parseCertificationRequest(requestToKeep(request))) !== undefined)
    throw new RangeError('evidence is kept with the request');
}

function json(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function spki(): string {
  return Buffer.from(parseCertificationRequest(makeCsr().der).publicKey.der).toString('base64');
}
