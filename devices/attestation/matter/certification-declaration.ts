import { toHex } from '../../../core/x509/octets.ts';
import { EvidenceFault } from '../findings.ts';
import { type DeclarationSigner, verifiedContent } from './declaration-signature.ts';
import { decodeTlvStructure, tlvArray, tlvBytes, TlvError, type TlvStructure, tlvText, tlvUnsigned } from './tlv.ts';

/** What the Connectivity Standards Alliance declares of a product (Matter Core Specification §6.3.1). IDs are four upper-case hex digits. */
export interface CertificationDeclaration {
  readonly vendorId: string;
  readonly productIds: readonly string[];
  readonly deviceTypeId: number;
  readonly certificateId: string;
  readonly securityLevel: number;
  readonly versionNumber: number;
  readonly certificationType: CertificationType;
  /** Whose DACs the product carries, where that is not `vendorId` and one of `productIds`. */
  readonly dacOrigin: { readonly vendorId: string; readonly productId: string } | undefined;
  /** Subject key identifiers of the only PAAs that count, lower-case hex; undefined: any. */
  readonly authorizedPaas: readonly string[] | undefined;
}

/** How far certification went. */
export type CertificationType = 'test' | 'provisional' | 'official';

const CERTIFICATION_TYPES: readonly CertificationType[] = ['test', 'provisional', 'official'];
const FORMAT_VERSION = 1;
const MAX_PRODUCTS = 100;
const MAX_AUTHORITIES = 10;
const CERTIFICATE_ID_LENGTH = 19;
const KEY_ID_OCTETS = 20;

/**
 * Verifies the signature of a declaration and reads it. A declaration by a test key, or of certification type `test`, counts only
 * with `allowTest`. @throws EvidenceFault `cd-…`
 */
export function readCertificationDeclaration(
  cms: Uint8Array,
  signers: readonly DeclarationSigner[],
  allowTest: boolean,
): CertificationDeclaration {
  const { content, signer } = verifiedContent(cms, signers);
  if (signer.isTestKey && !allowTest) {
    throw new EvidenceFault('cd-test-key', 'the declaration is signed by a published test key');
  }
  const declaration = decodeDeclaration(content);
  if (declaration.certificationType === 'test' && !allowTest) {
    throw new EvidenceFault('cd-test-product', `${declaration.certificateId} is for development and test`);
  }
  return declaration;
}

function decodeDeclaration(content: Uint8Array): CertificationDeclaration {
  try {
    const elements = decodeTlvStructure(content);
    const version = tlvUnsigned(elements.get(0), 'format_version', 0xffff);
    if (version !== FORMAT_VERSION) {
      throw new EvidenceFault('cd-format-version', `expected ${FORMAT_VERSION}, found ${version}`);
    }
    return declarationOf(elements);
  } catch (error) {
    if (error instanceof TlvError) throw new EvidenceFault('cd-malformed', error.message, { cause: error });
    throw error;
  }
}

function declarationOf(elements: TlvStructure): CertificationDeclaration {
  const certificateId = tlvText(elements.get(4), 'certificate_id');
  if (certificateId.length !== CERTIFICATE_ID_LENGTH) {
    throw new TlvError(`certificate_id of ${CERTIFICATE_ID_LENGTH} characters`, `${certificateId.length}`);
  }
  const productIds = tlvArray(elements.get(2), 'product_id_array', 1, MAX_PRODUCTS);
  tlvUnsigned(elements.get(6), 'security_information', 0xffff);
  return {
    vendorId: fourHex(elements.get(1), 'vendor_id'),
    productIds: productIds.map((id) => fourHex(id, 'product_id_array')),
    deviceTypeId: tlvUnsigned(elements.get(3), 'device_type_id', 2 ** 32 - 1),
    certificateId,
    securityLevel: tlvUnsigned(elements.get(5), 'security_level', 0xff),
    versionNumber: tlvUnsigned(elements.get(7), 'version_number', 0xffff),
    certificationType: CERTIFICATION_TYPES[tlvUnsigned(elements.get(8), 'certification_type', 2)]!,
    dacOrigin: dacOrigin(elements),
    authorizedPaas: authorizedPaas(elements),
  };
}

function dacOrigin(elements: TlvStructure): CertificationDeclaration['dacOrigin'] {
  if (elements.has(9) !== elements.has(10)) throw new TlvError('both of dac_origin or none', 'one');
  if (!elements.has(9)) return undefined;
  return {
    vendorId: fourHex(elements.get(9), 'dac_origin_vendor_id'),
    productId: fourHex(elements.get(10), 'dac_origin_product_id'),
  };
}

function authorizedPaas(elements: TlvStructure): readonly string[] | undefined {
  if (!elements.has(11)) return undefined;
  const list = tlvArray(elements.get(11), 'authorized_paa_list', 1, MAX_AUTHORITIES);
  return list.map((id) => toHex(tlvBytes(id, 'authorized_paa_list', KEY_ID_OCTETS)));
}

function fourHex(value: Parameters<typeof tlvUnsigned>[0], what: string): string {
  return tlvUnsigned(value, what, 0xffff).toString(16).toUpperCase().padStart(4, '0');
}
