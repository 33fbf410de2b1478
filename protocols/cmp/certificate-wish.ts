import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { decode, encode } from '../../core/asn1/codec.ts';
import type { WithDer } from '../../core/asn1/schema.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import { carriedEvidence, withoutEvidence } from '../../core/enrollment/carried-evidence.ts';
import type { Evidence, ProofOfPossession } from '../../core/enrollment/request.ts';
import type { SignedByFact } from '../../core/enrollment/facts.ts';
import { subjectAltName } from '../../core/x509/certificate.ts';
import {
  parseCertificationRequest,
  verifyCertificationRequestAsync,
  requestToKeep,
} from '../../core/x509/certification-request.ts';
import { EXTENSIONS, type Extension } from '../../core/x509/extensions.ts';
import type { GeneralName } from '../../core/x509/general-name.ts';
import { EMPTY_NAME, type Name, namesEqual } from '../../core/x509/name.ts';
import { octetsEqual } from '../../core/x509/octets.ts';
import { EXTENSION } from '../../core/x509/oids.ts';
import type { SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import { certId, type CertTemplate, certTemplate, publicKeyOf } from './cert-template.ts';
import type { CertReqMsg } from './crmf.ts';
import type { DerivationThread } from './derivation-thread.ts';
import { CmpFault } from './errors.ts';
import { type Exchange, NO_CERT_REQ_ID } from './exchange.ts';
import { CONTROL } from './oids.ts';
import type { PkiBody } from './pki-body.ts';
import { provePossession } from './proof-of-possession.ts';

/** The bodies that ask for a certificate. */
export type CertificateBody = Extract<PkiBody, { readonly kind: 'ir' | 'cr' | 'kur' | 'p10cr' }>;

/** A certificate as it is asked for, possession of its key proved or left to be proved. */
export interface CertificateWish {
  readonly certReqId: number;
  readonly subject: Name;
  readonly subjectAltName: readonly GeneralName[];
  /** Extensions asked for besides subjectAltName. */
  readonly otherExtensions: readonly Extension[];
  /** Whether it asks for a validity, which is the profile's to say. */
  readonly asksForValidity: boolean;
  readonly key:
    | { readonly kind: 'given'; readonly publicKey: SubjectPublicKeyInfo; readonly proof: ProofOfPossession }
    /** To be made here (RFC 9483 §4.1.6), of this algorithm where one is named. */
    | { readonly kind: 'to-be-made'; readonly algorithm: CertTemplate['publicKey'] };
  /** What it carries for the attestation gate. */
  readonly evidence: Evidence | undefined;
  /** CertTemplate or PKCS #10 in DER, free of passwords and evidence: what is kept for the operator. */
  readonly der: Uint8Array;
}

/** The certReqId that answers to a body carry, as far as the body can be read. */
export function certReqIdOf(body: CertificateBody): number {
  return body.kind === 'p10cr' ? NO_CERT_REQ_ID : (body.value[0]?.certReq.value.certReqId ?? 0);
}

/**
 * Reads what ir, cr, kur or p10cr asks for, and verifies the proof of possession.
 *
 * @param issuer the subject of the authority that would issue
 * @throws CmpFault, PeerError
 */
export async function readWish(
  derivation: Pick<DerivationThread, 'derive'>,
  exchange: Exchange,
  body: CertificateBody,
  issuer: Name,
): Promise<CertificateWish> {
  if (body.kind === 'p10cr') return readCertificationRequest(body.value);
  const request = onlyRequest(body.value);
  const { certTemplate, controls = [] } = request.certReq.value;
  const template = certTemplate.value;
  checkTemplate(exchange, template, issuer);
  if (controls.some(({ type }) => type === CONTROL.pkiArchiveOptions)) {
    throw new CmpFault('badRequest', 'controls: private keys are not archived here', 'unsupported-operation');
  }
  const renewed = body.kind === 'kur' ? requireRenewable(exchange, request) : undefined;
  const key = await readKey(derivation, exchange, request, body.kind);
  const extensions = withoutEvidence(template.extensions ?? []);
  const names = readNames(extensions);
  return {
    certReqId: request.certReq.value.certReqId,
    subject: template.subject ?? subjectFor(exchange, renewed, names),
    // RFC 9483 §4.1.3: what a key update leaves out stays as it was.
    subjectAltName: names ?? (renewed ? subjectAltName(renewed.certificate) : []),
    otherExtensions: extensions.filter(({ oid }) => oid !== EXTENSION.subjectAltName),
    asksForValidity: template.validity !== undefined,
    key,
    evidence: carriedEvidence({ requestedExtensions: template.extensions ?? [] }),
    der: templateToKeep(certTemplate, extensions),
  };
}

async function readCertificationRequest(der: Uint8Array): Promise<CertificateWish> {
  const request = parseCertificationRequest(der);
  if (!(await verifyCertificationRequestAsync(request))) {
    throw new PeerError('bad-signature', 'the signature of the request does not verify with the public key in it');
  }
  return {
    certReqId: NO_CERT_REQ_ID,
    subject: request.subject,
    subjectAltName: readNames(request.requestedExtensions) ?? [],
    otherExtensions: withoutEvidence(request.requestedExtensions).filter(({ oid }) => oid !== EXTENSION.subjectAltName),
    asksForValidity: false,
    key: { kind: 'given', publicKey: request.publicKey, proof: 'signature' },
    evidence: carriedEvidence(request),
    der: requestToKeep(request),
  };
}

/** The template as it came, or without the evidence in it, which is for the gate to keep or to forget. */
function templateToKeep({ value, der }: WithDer<CertTemplate>, extensions: readonly Extension[]): Uint8Array {
  if (extensions === value.extensions || value.extensions === undefined) return der;
  return encode(certTemplate, { ...value, extensions: extensions.length === 0 ? undefined : extensions });
}

/** subjectAltName; what else the profile will look at is only seen to be what its type says. */
function readNames(extensions: readonly Extension[]): readonly GeneralName[] | undefined {
  try {
    EXTENSIONS.basicConstraints.find(extensions);
    EXTENSIONS.keyUsage.find(extensions);
    EXTENSIONS.extendedKeyUsage.find(extensions);
    return EXTENSIONS.subjectAltName.find(extensions);
  } catch (error) {
    if (!(error instanceof Asn1Error)) throw error;
    throw new CmpFault('badCertTemplate', `extensions: ${error.message}`);
  }
}

/** RFC 9483 §4.1.1: exactly one CertReqMsg, and its certReqId is 0. */
function onlyRequest(messages: readonly CertReqMsg[]): CertReqMsg {
  const [first, ...others] = messages;
  if (first === undefined || others.length > 0) {
    throw new CmpFault('badRequest', `expected one CertReqMsg, found ${messages.length}`);
  }
  if (first.certReq.value.certReqId === 0) return first;
  throw new CmpFault('badRequest', `certReqId: expected 0, found ${first.certReq.value.certReqId}`);
}

/** RFC 4211 §5: what the authority assigns is left out. */
function checkTemplate({ settings }: Exchange, template: CertTemplate, issuer: Name): void {
  const assigned = (['serialNumber', 'signingAlg', 'issuerUID', 'subjectUID'] as const).find(
    (field) => template[field] !== undefined,
  );
  if (assigned !== undefined) {
    throw new CmpFault('badCertTemplate', `certTemplate: expected no ${assigned}`, 'malformed-request');
  }
  if (settings.conformance !== 'lightweight') return;
  if (template.version !== undefined && template.version !== V3) {
    throw new CmpFault('badCertTemplate', `certTemplate: expected version 3, found ${template.version + 1}`);
  }
  if (template.issuer !== undefined && template.issuer.rdns.length > 0 && !namesEqual(template.issuer, issuer)) {
    throw new CmpFault('wrongAuthority', 'certTemplate: expected the issuer of this endpoint');
  }
}

const V3 = 2;

/** RFC 9483 §4.1.3: a key update is signed with the certificate it updates, and oldCertId names no other. */
function requireRenewable({ sender }: Exchange, { certReq, popo }: CertReqMsg): SignedByFact {
  if (sender.kind !== 'signature') {
    throw new CmpFault('wrongIntegrity', 'kur: expected the signature of the certificate to update, found a MAC');
  }
  if (popo?.kind === 'raVerified') {
    throw new CmpFault('notAuthorized', 'kur: nobody vouches for the possession of an updated key');
  }
  const control = certReq.value.controls?.find(({ type }) => type === CONTROL.oldCertId);
  if (control === undefined) return sender.fact;
  const { issuer, serialNumber } = decode(certId, control.value);
  const { certificate } = sender.fact;
  const isSigner =
    issuer.kind === 'directoryName' &&
    namesEqual(issuer.value, certificate.issuer) &&
    octetsEqual(serialNumber, certificate.serialNumberOctets);
  if (!isSigner) throw new CmpFault('badCertId', 'oldCertId: expected the certificate the message is signed with');
  return sender.fact;
}

async function readKey(
  derivation: Pick<DerivationThread, 'derive'>,
  exchange: Exchange,
  request: CertReqMsg,
  body: 'ir' | 'cr' | 'kur',
): Promise<CertificateWish['key']> {
  const template = request.certReq.value.certTemplate.value;
  const publicKey = templateKey(template);
  if (publicKey !== undefined) {
    return { kind: 'given', publicKey, proof: await provePossession(derivation, exchange, request, publicKey) };
  }
  if (request.popo !== undefined) {
    throw new CmpFault(
      'badPOP',
      `${body}: expected no proof of possession of a key that is to be made`,
      'bad-signature',
    );
  }
  return { kind: 'to-be-made', algorithm: template.publicKey };
}

function templateKey(template: CertTemplate): SubjectPublicKeyInfo | undefined {
  try {
    return publicKeyOf(template);
  } catch (error) {
    if (!(error instanceof Asn1Error)) throw error;
    throw new CmpFault('badCertTemplate', `certTemplate.publicKey: ${error.message}`);
  }
}

/** C8: base stations name no subject; the endpoint may give them that of the certificate they are known by. */
function subjectFor(
  { settings, sender }: Exchange,
  renewed: SignedByFact | undefined,
  names: readonly GeneralName[] | undefined,
): Name {
  if (renewed !== undefined) return renewed.certificate.subject;
  const isNameless = names === undefined || names.length === 0;
  return settings.missingSubject === 'from-signer' && isNameless && sender.kind === 'signature'
    ? sender.fact.certificate.subject
    : EMPTY_NAME;
}
