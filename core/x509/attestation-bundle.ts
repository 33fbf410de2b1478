import { decode, encode } from '../asn1/codec.ts';
import {
  any,
  choice,
  ia5String,
  implicit,
  octetString,
  oid,
  optional,
  sequence,
  sequenceOf,
  utf8String,
} from '../asn1/schema.ts';
import type { RequestAttribute } from './certification-request.ts';
import { type Extension, rawExtension } from './extensions.ts';
import { FOREIGN } from './foreign-limits.ts';
import { EXTENSION, REQUEST_ATTRIBUTE } from './oids.ts';

/** Types of statement that are read here (TCG, draft-ietf-lamps-csr-attestation appendix), dotted. */
export const ATTESTATION_STATEMENT = { tpmCertify: '2.23.133.20.1', tpmQuote: '2.23.133.20.2' } as const;

/** One statement of a bundle; what is in it depends on its type. */
export interface AttestationStatement {
  /** Dotted. */
  readonly type: string;
  /** The DER of the statement proper. */
  readonly statement: Uint8Array;
}

/** AttestationBundle: statements, and the certificates that they lead to. Octets are views of the input. */
export interface AttestationBundle {
  readonly statements: readonly AttestationStatement[];
  /** X.509 certificates in DER, in no particular order. Certificates of other formats are left out. */
  readonly certificates: readonly Uint8Array[];
}

/** tcg-attest-tpm-certify: that a TPM holds a key. */
export interface TpmCertifyStatement {
  /** TPMS_ATTEST. */
  readonly attest: Uint8Array;
  /** TPMT_SIGNATURE, or of old drafts the octets of an RSA signature. */
  readonly signature: Uint8Array;
  /** TPMT_PUBLIC of the key; absent where the bundle's sender thinks it known. */
  readonly publicArea: Uint8Array | undefined;
}

/** tcg-attest-tpm-quote: what a TPM's registers hold. */
export interface TpmQuoteStatement {
  /** TPMS_ATTEST. */
  readonly attest: Uint8Array;
  /** TPMT_SIGNATURE. */
  readonly signature: Uint8Array;
  /** The values of the selected registers, joined in the order of the selection. */
  readonly pcrValues: Uint8Array | undefined;
}

/** A device attests one key, perhaps with a quote beside; certificates are those of two paths at most. */
const MAX_STATEMENTS = 8;
const MAX_CERTIFICATES = 16;

// Drafts before the 20th end the statement with a hint for whoever picks the verifier: read, and not believed.
const attestationStatement = sequence('AttestationStatement', {
  type: oid,
  stmt: any,
  hint: optional(choice('hint', { utf8String, ia5String })),
});

// RFC 5652 §10.2.3: OtherCertificateFormat, behind the tag of CertificateChoices.
const limitedCertChoices = choice('LimitedCertChoices', {
  other: implicit(3, sequence('OtherCertificateFormat', { otherCertFormat: oid, otherCert: any })),
  certificate: any,
});

const attestationBundle = sequence('AttestationBundle', {
  attestations: sequenceOf(attestationStatement, { min: 1, max: MAX_STATEMENTS }),
  certs: optional(sequenceOf(limitedCertChoices, { min: 1, max: MAX_CERTIFICATES })),
});

const tpmCertify = sequence('TcgAttestTpmCertify', {
  tpmSAttest: octetString,
  signature: octetString,
  tpmTPublic: optional(octetString),
});

const tpmQuote = sequence('TcgAttestTpmQuote', {
  tpmSAttest: octetString,
  signature: octetString,
  pcrValues: optional(octetString),
});

/** Decodes an AttestationBundle. Throws Asn1Error, also on more than eight statements or sixteen certificates. */
export function decodeAttestationBundle(der: Uint8Array): AttestationBundle {
  const { attestations, certs = [] } = decode(attestationBundle, der, FOREIGN);
  return {
    statements: attestations.map(({ type, stmt: statement }) => ({ type, statement })),
    certificates: certs.flatMap((one) => (one.kind === 'certificate' ? [one.value] : [])),
  };
}

/** The DER of an AttestationBundle. */
export function encodeAttestationBundle({ statements, certificates }: AttestationBundle): Uint8Array {
  return encode(attestationBundle, {
    attestations: statements.map(({ type, statement: stmt }) => ({ type, stmt })),
    certs:
      certificates.length === 0 ? undefined : certificates.map((value) => ({ kind: 'certificate', value }) as const),
  });
}

/** Decodes the statement of a bundle of type `2.23.133.20.1`. Throws Asn1Error. */
export function decodeTpmCertifyStatement(der: Uint8Array): TpmCertifyStatement {
  const { tpmSAttest: attest, signature, tpmTPublic: publicArea } = decode(tpmCertify, der, FOREIGN);
  return { attest, signature, publicArea };
}

/** The DER of a statement of type `2.23.133.20.1`. */
export function encodeTpmCertifyStatement({ attest, signature, publicArea }: TpmCertifyStatement): Uint8Array {
  return encode(tpmCertify, { tpmSAttest: attest, signature, tpmTPublic: publicArea });
}

/** Decodes the statement of a bundle of type `2.23.133.20.2`. Throws Asn1Error. */
export function decodeTpmQuoteStatement(der: Uint8Array): TpmQuoteStatement {
  const { tpmSAttest: attest, signature, pcrValues } = decode(tpmQuote, der, FOREIGN);
  return { attest, signature, pcrValues };
}

/** The DER of a statement of type `2.23.133.20.2`. */
export function encodeTpmQuoteStatement({ attest, signature, pcrValues }: TpmQuoteStatement): Uint8Array {
  return encode(tpmQuote, { tpmSAttest: attest, signature, pcrValues });
}

/** The bundle as an attribute of a PKCS #10 request. */
export function attestationAttribute(bundle: AttestationBundle): RequestAttribute {
  return { type: REQUEST_ATTRIBUTE.attestation, values: [encodeAttestationBundle(bundle)] };
}

/** The bundle as an extension of a CertTemplate. */
export function attestationExtension(bundle: AttestationBundle): Extension {
  return rawExtension(EXTENSION.attestation, encodeAttestationBundle(bundle), false);
}

/**
 * The bundles, in DER and not yet read, of a request: from its attributes, and from extensions it asks for, where a CertTemplate
 * has them and some put them into PKCS #10, too. Whoever finds several refuses: nothing says which one counts.
 */
export function attestationBundlesOf(
  attributes: readonly RequestAttribute[],
  extensions: readonly Extension[],
): readonly Uint8Array[] {
  return [
    ...attributes.filter(({ type }) => type === REQUEST_ATTRIBUTE.attestation).flatMap(({ values }) => values),
    ...extensions.filter(({ oid: kind }) => kind === EXTENSION.attestation).map(({ value }) => value),
  ];
}
