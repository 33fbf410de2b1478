import type { KeyObject } from 'node:crypto';
import { decode, encode } from '../../core/asn1/codec.ts';
import { algorithmIdentifierSchema } from '../../core/cms/algorithm-identifier.ts';
import { encodeContentInfo } from '../../core/cms/content-info.ts';
import { digestIdentifier } from '../../core/cms/digest-algorithm.ts';
import { CONTENT_TYPE } from '../../core/cms/oids.ts';
import { signedDataSchema } from '../../core/cms/signed-data-syntax.ts';
import { algorithmIdentifier } from '../../core/x509/signature-algorithm.ts';
import { signWith, TestAuthority } from '../support/test-pki.ts';
import { tlvNumbers, tlvOctetsArray, tlvStructure, tlvText, tlvUnsigned } from './matter-tlv.ts';

/** What a declaration says; the numbers as they stand in it. */
export interface DeclarationFields {
  readonly formatVersion?: number;
  readonly vendorId?: number;
  readonly productIds?: readonly number[];
  readonly certificateId?: string;
  /** 0 test, 1 provisional, 2 official. */
  readonly certificationType?: number;
  readonly originVendorId?: number;
  readonly originProductId?: number;
  readonly authorizedPaas?: readonly Uint8Array[];
}

/** Who signs declarations: a key of its own, for tests. */
export class DeclarationAuthority {
  readonly #root = TestAuthority.root({ name: 'CN=Muster CD Signing', pathLength: 1 });

  get certificate(): TestAuthority['certificate'] {
    return this.#root.certificate;
  }

  /** A CMS message over a declaration (Matter Core Specification §6.3). */
  sign(fields: DeclarationFields = {}): Uint8Array {
    const keyId = this.#root.certificate.extensions.find(({ oid }) => oid === '2.5.29.14')!.value.subarray(2);
    return signDeclaration(declarationContent(fields), keyId, this.#root.privateKey);
  }
}

/** The TLV of a declaration: right for products 8000 and 8001 of vendor FFF1 unless told otherwise. */
export function declarationContent(fields: DeclarationFields = {}): Uint8Array {
  const { originVendorId, originProductId, authorizedPaas } = fields;
  return tlvStructure(
    tlvUnsigned(0, fields.formatVersion ?? 1),
    tlvUnsigned(1, fields.vendorId ?? 0xfff1),
    tlvNumbers(2, fields.productIds ?? [0x8000, 0x8001]),
    tlvUnsigned(3, 0x0100),
    tlvText(4, fields.certificateId ?? 'CSA00000SWC00000-01'),
    tlvUnsigned(5, 0),
    tlvUnsigned(6, 0),
    tlvUnsigned(7, 1),
    tlvUnsigned(8, fields.certificationType ?? 2),
    ...(originVendorId === undefined ? [] : [tlvUnsigned(9, originVendorId)]),
    ...(originProductId === undefined ? [] : [tlvUnsigned(10, originProductId)]),
    ...(authorizedPaas === undefined ? [] : [tlvOctetsArray(11, authorizedPaas)]),
  );
}

/** CMS SignedData as declarations have it: no certificates, no attributes, the signer by key identifier. */
export function signDeclaration(content: Uint8Array, keyId: Uint8Array, privateKey: KeyObject): Uint8Array {
  const signature = signWith(privateKey, 'ecdsa-with-SHA256', content);
  const algorithm = algorithmIdentifier('ecdsa-with-SHA256');
  const signedData = encode(signedDataSchema, {
    version: 3,
    digestAlgorithms: [digestIdentifier('sha256')],
    encapContentInfo: { eContentType: CONTENT_TYPE.data, eContent: content },
    certificates: undefined,
    crls: undefined,
    signerInfos: [
      {
        version: 3,
        sid: { kind: 'subjectKeyIdentifier', value: keyId },
        digestAlgorithm: digestIdentifier('sha256'),
        signedAttrs: undefined,
        signatureAlgorithm: { value: decode(algorithmIdentifierSchema, algorithm), der: algorithm },
        signature,
        unsignedAttrs: undefined,
      },
    ],
  });
  return encodeContentInfo({ contentType: CONTENT_TYPE.signedData, content: signedData });
}
