import { namesEqual } from '../../../core/x509/name.ts';
import { processPath } from '../../../core/x509/path-processing.ts';
import { DEFAULT_PATH_LIMITS } from '../../../core/x509/path-result.ts';
import { verifySignature } from '../../../core/x509/signature-algorithm.ts';
import { EvidenceFault } from '../findings.ts';
import type { MatterCertificate } from './certificate-profile.ts';

/** The three certificates of a device, each within its profile. */
export interface MatterChain {
  readonly dac: MatterCertificate;
  readonly pai: MatterCertificate;
  readonly paa: MatterCertificate;
}

/** That VID and PID of device and intermediate agree (Matter Core Specification §6.2.3.1). @throws EvidenceFault */
export function checkVendorAgreement({ dac, pai }: Pick<MatterChain, 'dac' | 'pai'>): void {
  if (dac.vendorId !== pai.vendorId) {
    throw new EvidenceFault('dac-vendor-mismatch', `expected ${pai.vendorId} of the PAI, found ${dac.vendorId}`);
  }
  if (pai.productId !== undefined && dac.productId !== pai.productId) {
    throw new EvidenceFault('dac-product-mismatch', `expected ${pai.productId} of the PAI, found ${dac.productId}`);
  }
}

/**
 * That the chain is signed and valid: the DAC at `now`, its authorities when the DAC was issued (they may have expired since), and
 * everything else by RFC 5280 §6.1. @throws EvidenceFault
 */
export function verifyMatterChain(chain: MatterChain, now: Date): void {
  checkSignatures(chain);
  checkTimes(chain, now);
  const path = [chain.dac.certificate, chain.pai.certificate, chain.paa.certificate];
  const failure = processPath(path, { at: chain.dac.certificate.notBefore }, DEFAULT_PATH_LIMITS);
  if (failure !== undefined) throw new EvidenceFault('dac-path-invalid', `${failure.reason}: ${failure.detail}`);
}

/** Whether `issuer` has the name that `subject` says signed it, and the key that did. */
export function isIssuedBy(
  { certificate: subject }: MatterCertificate,
  { certificate: issuer }: MatterCertificate,
): boolean {
  return (
    namesEqual(subject.issuer, issuer.subject) &&
    verifySignature(issuer.publicKey, subject.signatureAlgorithm, subject.tbsDer, subject.signature)
  );
}

function checkSignatures({ dac, pai, paa }: MatterChain): void {
  if (!isIssuedBy(pai, paa))
    throw new EvidenceFault('pai-signature-invalid', 'expected a signature of the PAA, found another');
  if (dac.authorityKeyId !== pai.subjectKeyId) {
    throw new EvidenceFault(
      'dac-signature-invalid',
      `expected the PAI ${pai.subjectKeyId}, found ${dac.authorityKeyId}`,
    );
  }
  if (!isIssuedBy(dac, pai))
    throw new EvidenceFault('dac-signature-invalid', 'expected a signature of the PAI, found another');
}

function checkTimes({ dac, pai, paa }: MatterChain, now: Date): void {
  const { notBefore: issued, notAfter } = dac.certificate;
  if (now < issued) throw new EvidenceFault('dac-not-yet-valid', `valid from ${issued.toISOString()}`);
  if (isOver(notAfter, now)) throw new EvidenceFault('dac-expired', `was valid until ${notAfter.toISOString()}`);
  if (!isValidAt(pai, issued))
    throw new EvidenceFault('pai-not-valid-at-issuance', `DAC issued ${issued.toISOString()}`);
  if (!isValidAt(paa, issued))
    throw new EvidenceFault('paa-not-valid-at-issuance', `DAC issued ${issued.toISOString()}`);
}

function isValidAt({ certificate: { notBefore, notAfter } }: MatterCertificate, at: Date): boolean {
  return at >= notBefore && !isOver(notAfter, at);
}

// RFC 5280 §4.1.2.5: both ends are inclusive, to the second.
function isOver(notAfter: Date, at: Date): boolean {
  return at.getTime() >= notAfter.getTime() + 1000;
}
