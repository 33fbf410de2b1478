import { encodePcrSelection, type PcrSelection } from '../../devices/attestation/tpm/pcr-selection.ts';
import { hexOctets, joined, sized, u16, u32 } from './tpm-marshal.ts';

/** Public areas to make keys with (TPM2B_PUBLIC contents), and the bits and numbers they are made of. */

/** TPMA_OBJECT bits. */
export const OBJECT = {
  fixedTPM: 0x2,
  fixedParent: 0x10,
  sensitiveDataOrigin: 0x20,
  userWithAuth: 0x40,
  adminWithPolicy: 0x80,
  noDA: 0x400,
  encryptedDuplication: 0x800,
  restricted: 0x10000,
  decrypt: 0x20000,
  sign: 0x40000,
} as const;

/** A restricted signing key, as go-attestation makes them: 0x00050472. */
export const ATTESTATION_KEY_ATTRIBUTES =
  OBJECT.fixedTPM |
  OBJECT.fixedParent |
  OBJECT.sensitiveDataOrigin |
  OBJECT.userWithAuth |
  OBJECT.noDA |
  OBJECT.restricted |
  OBJECT.sign;

/** A signing key that cannot leave its TPM: 0x00040472. */
export const APPLICATION_KEY_ATTRIBUTES = ATTESTATION_KEY_ATTRIBUTES & ~OBJECT.restricted;

/** The kinds of endorsement key a device may have. */
export type EndorsementKeyKind = 'rsa-2048' | 'ec-p256' | 'ec-p384';
/** The kinds of signing key a test asks for. */
export type SigningKeyKind = 'ec-p256' | 'ec-p384' | 'rsa-2048';

const SHA256 = 0x000b;
const SHA384 = 0x000c;
const NULL = 0x0010;
const POLICY_A = '837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa';
const POLICY_B_384 = 'b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12';

/** TCG EK Credential Profile §B.3.3, B.3.4, B.4.5: templates L-1, L-2 and H-3. */
export const ENDORSEMENT_TEMPLATES: Readonly<Record<EndorsementKeyKind, Uint8Array>> = {
  'rsa-2048': joined(
    hexOctets(`0001 000b 000300b2 0020 ${POLICY_A} 0006 0080 0043 0010 0800 00000000`),
    sized(new Uint8Array(256)),
  ),
  'ec-p256': joined(
    hexOctets(`0023 000b 000300b2 0020 ${POLICY_A} 0006 0080 0043 0010 0003 0010`),
    sized(new Uint8Array(32)),
    sized(new Uint8Array(32)),
  ),
  'ec-p384': hexOctets(`0023 000c 000300f2 0030 ${POLICY_B_384} 0006 0100 0043 0010 0004 0010 0000 0000`),
};

/** The storage root key: the parent of every other key of the test device. */
export const STORAGE_ROOT_TEMPLATE = hexOctets('0023 000b 00030472 0000 0006 0080 0043 0010 0003 0010 0000 0000');

/** What may be said of a signing key to be made. */
export interface SigningKeyOptions {
  readonly kind?: SigningKeyKind;
  readonly attributes?: number;
  /** Default: none. */
  readonly authPolicy?: Uint8Array;
  /** RSA: RSAPSS instead of RSASSA. */
  readonly pss?: boolean;
}

/** The public area of a signing key: ECDSA or RSASSA with the hash of its strength; unrestricted ones with no scheme set. */
export function signingKeyTemplate(options: SigningKeyOptions): Uint8Array {
  const { kind = 'ec-p256', attributes = 0, authPolicy, pss = false } = options;
  const hash = kind === 'ec-p384' ? SHA384 : SHA256;
  const head = joined(
    u16(kind === 'rsa-2048' ? 0x0001 : 0x0023),
    u16(SHA256),
    u32(attributes),
    sized(authPolicy ?? new Uint8Array()),
    u16(NULL),
  );
  if (kind === 'rsa-2048') return joined(head, u16(pss ? 0x0016 : 0x0014), u16(hash), u16(2048), u32(0), u16(0));
  return joined(head, u16(0x0018), u16(hash), u16(kind === 'ec-p384' ? 4 : 3), u16(NULL), u16(0), u16(0));
}

/** TPML_PCR_SELECTION of some PCRs of the SHA-256 bank. */
export function pcrs(indexes: readonly number[]): PcrSelection {
  return [{ hash: 'sha256', pcrs: indexes }];
}

/** No PCR at all: TPML_PCR_SELECTION with count 0. */
export const NO_PCRS = encodePcrSelection([]);
