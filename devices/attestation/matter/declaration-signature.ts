import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import { parseSignedData, type SignedData } from '../../../core/cms/signed-data-syntax.ts';
import { verifySignedData } from '../../../core/cms/verify-signed-data.ts';
import { type Certificate, certificateFingerprint } from '../../../core/x509/certificate.ts';
import { octetsEqual } from '../../../core/x509/octets.ts';
import { EvidenceFault } from '../findings.ts';

/** A key that signs declarations. */
export interface DeclarationSigner {
  readonly certificate: Certificate;
  /** Published with its private key: what it signs says nothing of a product. */
  readonly isTestKey: boolean;
}

/** What a declaration holds, and who signed it. */
interface SignedDeclaration {
  readonly content: Uint8Array;
  readonly signer: DeclarationSigner;
}

const MAX_CMS_OCTETS = 4096;
/** Products of which an installation sees many devices. */
const MAX_KEPT = 1024;

/**
 * What each signer was seen to sign, by fingerprint of the message: every device of a product brings the same octets, and a
 * signature that was right stays right. It goes with the signer's certificate, and nobody else can fill it.
 */
const kept = new WeakMap<Certificate, Map<string, Uint8Array>>();

/** The TLV of a declaration whose signature is by one of the signers. @throws EvidenceFault `cd-…` */
export function verifiedContent(cms: Uint8Array, signers: readonly DeclarationSigner[]): SignedDeclaration {
  if (cms.length > MAX_CMS_OCTETS) throw malformed(`expected at most ${MAX_CMS_OCTETS} octets, found ${cms.length}`);
  const fingerprint = certificateFingerprint(cms);
  for (const signer of signers) {
    const content = kept.get(signer.certificate)?.get(fingerprint);
    if (content !== undefined) return { content, signer };
  }
  const found = verify(parse(cms), signers);
  keep(found, fingerprint);
  return found;
}

// Matter Core Specification §6.3.1: the signer by key identifier, no certificates, no CRLs, no attributes.
function parse(cms: Uint8Array): SignedData {
  try {
    const signedData = parseSignedData(cms);
    const [signer] = signedData.signerInfos;
    if (signedData.certificates.length + signedData.crls.length > 0) {
      throw malformed('expected no certificates or CRLs');
    }
    if (signer?.signerIdentifier.kind !== 'subjectKeyIdentifier') {
      throw malformed('expected a signer by key identifier');
    }
    if (signer.signedAttributes !== undefined || signer.unsignedAttributes.length > 0) {
      throw malformed('expected no attributes');
    }
    return signedData;
  } catch (error) {
    if (error instanceof Asn1Error) throw malformed(error.message, error);
    throw error;
  }
}

function verify(signedData: SignedData, signers: readonly DeclarationSigner[]): SignedDeclaration {
  const verdict = verifySignedData(signedData, {
    digests: ['sha256'],
    signedAttributes: 'optional',
    signerCertificates: signers.map(({ certificate }) => certificate.der),
  });
  if (!verdict.ok) {
    if (verdict.finding === 'signature-invalid') throw new EvidenceFault('cd-signature-invalid', verdict.detail);
    if (verdict.finding === 'signer-certificate-absent') throw new EvidenceFault('cd-signer-unknown', verdict.detail);
    throw malformed(`${verdict.finding}: ${verdict.detail}`);
  }
  const signer = signers.find(({ certificate }) => octetsEqual(certificate.der, verdict.signerCertificate))!;
  return { content: verdict.content, signer };
}

function keep({ content, signer }: SignedDeclaration, fingerprint: string): void {
  const known = kept.get(signer.certificate) ?? new Map<string, Uint8Array>();
  kept.set(signer.certificate, known);
  if (known.size < MAX_KEPT) known.set(fingerprint, Uint8Array.from(content));
}

function malformed(detail: string, cause?: unknown): EvidenceFault {
  return new EvidenceFault('cd-malformed', detail, cause === undefined ? undefined : { cause });
}
