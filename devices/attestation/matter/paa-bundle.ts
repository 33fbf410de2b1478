import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import { type Certificate, parseCertificate } from '../../../core/x509/certificate.ts';
import { decodePem } from '../../../core/x509/pem.ts';
import type { AnchorSettings } from '../anchors.ts';
import { EvidenceFault } from '../findings.ts';
import { checkMatterProfile } from './certificate-profile.ts';
import { isTestPaa } from './test-authorities.ts';

/** A file of a folder with Product Attestation Authorities, such as a mirror of the Distributed Compliance Ledger. */
export interface PaaFile {
  readonly name: string;
  /** One certificate in DER, or any number in PEM. */
  readonly octets: Uint8Array;
}

/** A PAA that may become an anchor, with the settings that follow from the certificate. */
export interface PaaCandidate {
  readonly file: string;
  readonly certificate: Certificate;
  /** Lower-case hex. */
  readonly subjectKeyId: string;
  /** The vendor that the certificate itself limits it to. */
  readonly vendorId: string | undefined;
  readonly settings: Pick<AnchorSettings['paa'], 'test'>;
}

/** What a folder holds: authorities, each key once, and what is none, with the reason. */
export interface PaaBundle {
  readonly authorities: readonly PaaCandidate[];
  readonly refused: readonly { readonly file: string; readonly reason: string }[];
}

/** Reads a folder of PAAs. One bad file spoils no other: it is told. */
export function readPaaBundle(files: readonly PaaFile[]): PaaBundle {
  const authorities = new Map<string, PaaCandidate>();
  const refused: { file: string; reason: string }[] = [];
  for (const file of files) {
    try {
      for (const candidate of candidatesOf(file)) {
        if (!authorities.has(candidate.subjectKeyId)) authorities.set(candidate.subjectKeyId, candidate);
      }
    } catch (error) {
      if (!(error instanceof Asn1Error) && !(error instanceof EvidenceFault)) throw error;
      refused.push({ file: file.name, reason: error.message });
    }
  }
  return { authorities: [...authorities.values()], refused };
}

function candidatesOf({ name, octets }: PaaFile): PaaCandidate[] {
  return dersOf(octets).map((der) => {
    const certificate = parseCertificate(der);
    const { subjectKeyId, vendorId } = checkMatterProfile('paa', certificate);
    return { file: name, certificate, subjectKeyId, vendorId, settings: { test: isTestPaa(certificate) } };
  });
}

const DER_SEQUENCE = 0x30;

function dersOf(octets: Uint8Array): Uint8Array[] {
  if (octets[0] === DER_SEQUENCE) return [octets];
  const blocks = decodePem(Buffer.from(octets).toString('latin1'));
  return blocks.filter(({ label }) => label === 'CERTIFICATE').map(({ der }) => der);
}
