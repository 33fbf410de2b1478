import { encode as encodeCbor } from 'cborg';
import {
  ATTESTATION_STATEMENT,
  attestationAttribute,
  type AttestationBundle,
  encodeTpmCertifyStatement,
  encodeTpmQuoteStatement,
} from '../../core/x509/attestation-bundle.ts';
import { assembleSigned, type Certificate } from '../../core/x509/certificate.ts';
import {
  challengePasswordAttribute,
  encodeCertificationRequestInfo,
  extensionRequestAttribute,
} from '../../core/x509/certification-request.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { generalNameFromText } from '../../core/x509/general-name.ts';
import { nameFromText } from '../../core/x509/name.ts';
import type { AttestationKeyRegistration } from '../../devices/attestation/tpm/registration.ts';
import { type SwtpmDevice, signatureAlgorithmOf, type TpmKey, type TpmStatement } from './swtpm-device.ts';
import { joined } from './tpm-marshal.ts';

/** What a device says with its TPM, in the forms that its protocols carry. */

/** A key, what its attestation key says of it, and what goes along. */
export interface TpmEvidenceParts {
  readonly certify?: TpmStatement & { readonly publicArea?: Uint8Array };
  readonly quote?: TpmStatement & { readonly pcrValues?: readonly Uint8Array[] };
  /** The attestation key's and its CAs', in any order; none where it was activated. */
  readonly certificates?: readonly Certificate[];
}

/** The AttestationBundle of a TPM's statements. */
export function tpmBundle({ certify, quote, certificates = [] }: TpmEvidenceParts): AttestationBundle {
  const { tpmCertify, tpmQuote } = ATTESTATION_STATEMENT;
  const values = quote?.pcrValues && joined(...quote.pcrValues);
  return {
    statements: [
      ...(certify === undefined
        ? []
        : [{ type: tpmCertify, statement: encodeTpmCertifyStatement({ publicArea: undefined, ...certify }) }]),
      ...(quote === undefined
        ? []
        : [{ type: tpmQuote, statement: encodeTpmQuoteStatement({ ...quote, pcrValues: values }) }]),
    ],
    certificates: certificates.map(({ der }) => der),
  };
}

/** The attestation object of ACME's device-attest-01, format `tpm`, without authData. */
export function tpmAttestationObject(
  { attest, signature }: TpmStatement,
  key: Pick<TpmKey, 'publicArea'>,
  certificates: readonly Certificate[],
): Uint8Array {
  const attStmt = {
    ver: '2.0',
    alg: -7,
    x5c: certificates.map(({ der }) => der),
    sig: signature,
    certInfo: attest,
    pubArea: key.publicArea,
  };
  return encodeCbor({ fmt: 'tpm', attStmt });
}

/** What a device registers a new attestation key with, its creation attested by the key itself, as go-attestation does. */
export async function akRegistration(
  device: SwtpmDevice,
  ek: TpmKey,
  ak: TpmKey,
  ekCertificates: readonly Uint8Array[],
): Promise<AttestationKeyRegistration> {
  const creation = await device.certifyCreation(ak, ak, new Uint8Array());
  return {
    endorsementKey: ek.publicKey.der,
    endorsementCertificates: ekCertificates,
    endorsementPublicArea: ek.publicArea,
    publicArea: ak.publicArea,
    creationData: ak.creationData,
    creationAttest: creation.attest,
    creationSignature: creation.signature,
  };
}

/** What a test asks of a request that the TPM signs. */
export interface TpmRequestOptions {
  /** RFC 4514 text. */
  readonly subject?: string;
  readonly san?: readonly string[];
  readonly challengePassword?: string;
  /** Goes in as the attestation attribute. */
  readonly bundle?: AttestationBundle;
}

/** A PKCS #10 request for a key of the TPM, signed there. */
export async function tpmRequest(
  device: SwtpmDevice,
  key: TpmKey,
  options: TpmRequestOptions = {},
): Promise<Uint8Array> {
  const { subject = 'CN=device', san = [], challengePassword, bundle } = options;
  const algorithm = signatureAlgorithmOf(key);
  const info = encodeCertificationRequestInfo({
    subject: nameFromText(subject),
    publicKey: key.publicKey,
    attributes: [
      ...(challengePassword === undefined ? [] : [challengePasswordAttribute(challengePassword)]),
      ...(san.length === 0
        ? []
        : [extensionRequestAttribute([EXTENSIONS.subjectAltName.encode(san.map(generalNameFromText))])]),
      ...(bundle === undefined ? [] : [attestationAttribute(bundle)]),
    ],
  });
  return assembleSigned(info, algorithm, await device.sign(key, info));
}
