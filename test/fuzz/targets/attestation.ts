import { readFileSync } from 'node:fs';
import { encode, Tagged } from 'cborg';
import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import { parseCertificate } from '../../../core/x509/certificate.ts';
import { decodePem } from '../../../core/x509/pem.ts';
import {
  decodeAttestationObject,
  statementCertificates,
} from '../../../devices/attestation/acme/attestation-object.ts';
import { decodeKeyDescription } from '../../../devices/attestation/acme/key-description.ts';
import { CborError, decodeCbor } from '../../../devices/attestation/cbor.ts';
import { decodeEatClaims } from '../../../devices/attestation/eat/claims.ts';
import { decodeCoseSign1 } from '../../../devices/attestation/eat/cose-sign1.ts';
import { isPsaToken, readPsaClaims } from '../../../devices/attestation/eat/psa-profile.ts';
import { EvidenceFault } from '../../../devices/attestation/findings.ts';
import {
  decodeAttestationElements,
  decodeNocsrElements,
} from '../../../devices/attestation/matter/attestation-elements.ts';
import { readMatterCertificate } from '../../../devices/attestation/matter/certificate-profile.ts';
import { readCertificationDeclaration } from '../../../devices/attestation/matter/certification-declaration.ts';
import { decodeMatterEvidence } from '../../../devices/attestation/matter/evidence.ts';
import { decodeTlvStructure, TlvError } from '../../../devices/attestation/matter/tlv.ts';
import { keyDescriptionExtension } from '../../fakes/attestation-objects.ts';
import { declarationContent } from '../../fakes/matter-declaration.ts';
import { tlvOctets, tlvStructure, tlvUnsigned } from '../../fakes/matter-tlv.ts';
import type { FuzzTarget } from '../run-fuzz.ts';

const matterFile = (name: string): Buffer => readFileSync(new URL(`../../fixtures/matter/${name}`, import.meta.url));
const vector = JSON.parse(matterFile('struct_dac_sig_curve_prime256v1.json').toString()) as Record<string, string>;
const ofVector = (name: string): Uint8Array => new Uint8Array(Buffer.from(vector[name]!, 'hex'));
const declarationSigner = parseCertificate(decodePem(matterFile('Chip-Test-CD-Signing-Cert.pem').toString())[0]!.der);

const octets = (length: number): Uint8Array => new Uint8Array(length).fill(0x5a);
const copied = (seed: Uint8Array): Uint8Array => new Uint8Array(seed);

/** An EAT of the PSA profile with a key to confirm, its signature nobody's. */
function eatSeeds(): readonly Uint8Array[] {
  const claims = new Map<number, unknown>([
    [10, octets(32)],
    [256, Uint8Array.of(1, ...octets(32))],
    [259, Buffer.from('Router 7')],
    [263, 2],
    [265, 'tag:psacertified.org,2023:psa#tfm'],
    [273, [[258, octets(20)]]],
    [2394, 1],
    [2395, 0x3000],
    [2396, octets(32)],
    [
      2399,
      [
        new Map<number, unknown>([
          [1, 'BL'],
          [2, octets(32)],
          [4, '1.0'],
          [5, octets(32)],
        ]),
      ],
    ],
  ]);
  const message = [encode(new Map([[1, -7]])), new Map([[4, octets(4)]]), encode(claims), octets(64)];
  return [encode(new Tagged(18, message)), encode(new Tagged(61, new Tagged(18, message)))];
}

/** What the evidence of devices is decoded by, TPM structures aside. */
export const attestationTargets: readonly FuzzTarget[] = [
  {
    name: 'attestation cbor',
    seeds: () => [
      encode({ fmt: 'step', attStmt: { x5c: [octets(40)], alg: -7, sig: octets(8) } }),
      encode([1, -1, 2 ** 40, 'text', true, null, [[[]]], new Map([[1, 'a']])]),
      ...eatSeeds(),
    ],
    decode: (bytes) => decodeCbor(bytes, { tags: [18, 61] }),
    allowedErrors: [CborError],
  },
  {
    name: 'matter tlv',
    seeds: () => [
      copied(declarationContent({ originVendorId: 1, originProductId: 2, authorizedPaas: [octets(20)] })),
      copied(tlvStructure(tlvOctets(1, octets(300)), tlvOctets(2, octets(32)), tlvUnsigned(3, 2 ** 30))),
    ],
    decode: decodeTlvStructure,
    allowedErrors: [TlvError],
  },
  {
    name: 'matter elements',
    seeds: () => [copied(tlvStructure(tlvOctets(1, octets(80)), tlvOctets(2, octets(32)), tlvUnsigned(3, 1)))],
    decode: (bytes) => [decodeAttestationElements(bytes), decodeNocsrElements(bytes)],
    allowedErrors: [TlvError],
  },
  {
    name: 'matter evidence',
    seeds: () => [
      encode({
        dac: ofVector('dac_cert'),
        pai: ofVector('pai_cert'),
        challenge: octets(16),
        nocsr: octets(200),
        nocsrSignature: octets(64),
      }),
    ],
    decode: decodeMatterEvidence,
    allowedErrors: [EvidenceFault],
  },
  {
    name: 'matter certificate',
    seeds: () => [ofVector('dac_cert')],
    decode: (bytes) => readMatterCertificate('dac', bytes),
    allowedErrors: [EvidenceFault],
  },
  {
    name: 'matter certification declaration',
    seeds: () => [ofVector('certification_declaration')],
    decode: (bytes) => readCertificationDeclaration(bytes, [{ certificate: declarationSigner, isTestKey: true }], true),
    allowedErrors: [EvidenceFault],
  },
  {
    name: 'eat',
    seeds: eatSeeds,
    decode(bytes) {
      const claims = decodeEatClaims(decodeCoseSign1(bytes).payload);
      return isPsaToken(claims) ? readPsaClaims(claims) : claims;
    },
    allowedErrors: [CborError],
  },
  {
    name: 'acme attestation object',
    seeds: () => [
      encode({ fmt: 'apple', attStmt: { x5c: [ofVector('dac_cert'), ofVector('pai_cert')] } }),
      encode({ fmt: 'step', attStmt: { alg: -7, sig: octets(70), x5c: [ofVector('dac_cert')] } }),
    ],
    decode: (bytes) => statementCertificates(decodeAttestationObject(bytes).statement),
    allowedErrors: [EvidenceFault],
  },
  {
    name: 'android key description',
    seeds: () => [keyDescriptionExtension({ challenge: octets(32), serialNumber: 'R58M1' }).value],
    decode: decodeKeyDescription,
    allowedErrors: [Asn1Error],
  },
];
