import { PeerError } from '../../core/errors/muster-error.ts';
import type { Evidence } from '../../core/enrollment/request.ts';
import type { SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import { parseSubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import type { Registration } from './dependencies.ts';
import {
  integerAt,
  type JsonObject,
  objectAt,
  octetListAt,
  octetsAt,
  optionalOctetsAt,
  parseObject,
  textAt,
} from './json.ts';
import { encodeMatterEvidence, type MatterAttestation } from './matter-elements.ts';

/** Largest body, in octets: evidence with two certificate paths fits several times. */
export const MAX_BODY_OCTETS = 64 * 1024;

/** The protocols a ticket may open. */
export const TICKET_PROTOCOLS = ['scep', 'est', 'cmp'] as const;
export type TicketProtocol = (typeof TICKET_PROTOCOLS)[number];

/** Evidence that anybody may show here; what belongs to a protocol's own exchange comes by that protocol. */
const EVIDENCE_TYPES: readonly string[] = ['tpm-certify', 'matter-dac', 'eat', 'idevid'];

/** Octets of a nonce. */
const NONCE_OCTETS = { min: 8, max: 64 };
const MAX_DEVICE_NAME = 64;
const MAX_EK_CERTIFICATES = 8;

/** A request for a ticket. */
export interface TicketRequest {
  readonly evidence: Evidence;
  /** The key that the ticket shall admit. */
  readonly publicKey: SubjectPublicKeyInfo;
  /** The name of the device; undefined leaves it to the evidence. */
  readonly device: string | undefined;
  readonly protocol: TicketProtocol;
}

/** A Matter device's request for a certificate. */
export interface MatterRequest {
  readonly attestation: MatterAttestation;
  readonly device: string | undefined;
}

/** How many octets the nonce shall have, where the body says so; an empty one says nothing. @throws PeerError */
export function decodeNonceRequest(body: Uint8Array): number | undefined {
  return body.length === 0 ? undefined : integerAt(parseObject(body), 'len', NONCE_OCTETS.min, NONCE_OCTETS.max);
}

/**
 * POST attest, as clients of smallstep's attestation CA write it: `ek` (SubjectPublicKeyInfo), `ekCerts`, and `params` in the names
 * of go-attestation. `ekPublic` (TPMT_PUBLIC) is an addition, for endorsement keys that no usual template makes.
 * @throws PeerError `malformed-request`
 */
export function decodeRegistration(body: Uint8Array): Registration {
  const request = parseObject(body);
  const params = objectAt(request, 'params');
  return {
    endorsementKey: optionalOctetsAt(request, 'ek'),
    endorsementCertificates: octetListAt(request, 'ekCerts', MAX_EK_CERTIFICATES),
    endorsementPublicArea: optionalOctetsAt(request, 'ekPublic'),
    publicArea: octetsAt(params, 'public'),
    creationData: optionalOctetsAt(params, 'createData'),
    creationAttest: optionalOctetsAt(params, 'createAttestation'),
    creationSignature: optionalOctetsAt(params, 'createSignature'),
  };
}

/** POST secret: what the TPM released. @throws PeerError `malformed-request` */
export function decodeSecret(body: Uint8Array): Uint8Array {
  return octetsAt(parseObject(body), 'secret');
}

/** POST ticket. @throws PeerError `malformed-request` */
export function decodeTicketRequest(body: Uint8Array): TicketRequest {
  const request = parseObject(body);
  return {
    evidence: evidenceOf(objectAt(request, 'evidence')),
    publicKey: publicKeyOf(octetsAt(request, 'publicKey')),
    device: textAt(request, 'device', MAX_DEVICE_NAME),
    protocol: protocolOf(textAt(request, 'protocol', MAX_DEVICE_NAME)),
  };
}

/** POST matter. @throws PeerError `malformed-request` */
export function decodeMatterRequest(body: Uint8Array): MatterRequest {
  const request = parseObject(body);
  return { attestation: matterOf(request), device: textAt(request, 'device', MAX_DEVICE_NAME) };
}

/** `{type, bytes}`; of a Matter device its parts may stand there by name. */
function evidenceOf(evidence: JsonObject): Evidence {
  const type = textAt(evidence, 'type', MAX_DEVICE_NAME) ?? '';
  if (!EVIDENCE_TYPES.includes(type))
    throw new PeerError('malformed-request', `evidence.type: expected one of ${EVIDENCE_TYPES.join(', ')}`);
  const isInParts = type === 'matter-dac' && !Object.hasOwn(evidence, 'bytes');
  return { type, bytes: isInParts ? encodeMatterEvidence(matterOf(evidence)) : octetsAt(evidence, 'bytes') };
}

function matterOf(object: JsonObject): MatterAttestation {
  const elements = optionalOctetsAt(object, 'elements');
  const elementsSignature = optionalOctetsAt(object, 'elementsSignature');
  return {
    dac: octetsAt(object, 'dac'),
    pai: octetsAt(object, 'pai'),
    challenge: octetsAt(object, 'challenge'),
    nocsr: octetsAt(object, 'nocsr'),
    nocsrSignature: octetsAt(object, 'nocsrSignature'),
    ...(elements && { elements }),
    ...(elementsSignature && { elementsSignature }),
  };
}

function publicKeyOf(der: Uint8Array): SubjectPublicKeyInfo {
  try {
    return parseSubjectPublicKeyInfo(der);
  } catch (error) {
    if (!(error instanceof Asn1Error)) throw error;
    throw new PeerError('malformed-request', `publicKey: ${error.message}`, { cause: error });
  }
}

function protocolOf(text = 'scep'): TicketProtocol {
  const protocol = TICKET_PROTOCOLS.find((one) => one === text);
  if (protocol !== undefined) return protocol;
  throw new PeerError('malformed-request', `protocol: expected one of ${TICKET_PROTOCOLS.join(', ')}`);
}
