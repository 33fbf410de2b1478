import { describe, expect, it } from 'vitest';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { decode, encode } from '../../core/asn1/codec.ts';
import { octetString, utf8String } from '../../core/asn1/schema.ts';
import type { Infer } from '../../core/asn1/schema.ts';
import { algorithmIdentifierSchema } from '../../core/cms/algorithm-identifier.ts';
import {
  attribute,
  attributesSchema,
  attributesToWire,
  contentTypeAttribute,
  messageDigestAttribute,
  retag,
} from '../../core/cms/attribute.ts';
import type { Attribute } from '../../core/cms/attribute.ts';
import { certificateIdentity, identifierOf } from '../../core/cms/certificate-identity.ts';
import { signatureAlgorithmDer } from '../../core/cms/cms-signature.ts';
import { encodeContentInfo } from '../../core/cms/content-info.ts';
import { digestIdentifier, digestOctets } from '../../core/cms/digest-algorithm.ts';
import { CMS_ATTRIBUTE, CONTENT_TYPE } from '../../core/cms/oids.ts';
import { signedDataSchema } from '../../core/cms/signed-data-syntax.ts';
import { decodeCertsOnly, parseSignedData, verifySignedData } from '../../core/cms/signed-data.ts';
import type { VerifySignedDataOptions } from '../../core/cms/signed-data.ts';
import { EXTENSION } from '../../core/x509/oids.ts';
import { TestAuthority, signWith } from '../support/test-pki.ts';
import { hex } from './openssl-peer.ts';

type Wire = Infer<typeof signedDataSchema>;
type SignerWire = Wire['signerInfos'][number];

const content = Buffer.from('content that is signed');
const authority = TestAuthority.root();
const holder = authority.leaf({ subject: 'CN=signer' });
const other = authority.leaf({ subject: 'CN=other' });
const algorithm = 'ecdsa-with-SHA256';

const goodAttributes: readonly Attribute[] = [
  contentTypeAttribute(CONTENT_TYPE.data),
  messageDigestAttribute(digestOctets('sha256', content)),
];

/** A SignerInfo whose signature is right for exactly the attributes given, whatever they say. */
function signerInfo(
  attributes: readonly Attribute[] | undefined = goodAttributes,
  changes: Partial<SignerWire> = {},
): SignerWire {
  const value = attributesToWire(attributes);
  const set = encode(attributesSchema, value);
  const algorithmDer = signatureAlgorithmDer(algorithm, false);
  return {
    version: 1,
    sid: identifierOf(certificateIdentity(holder.der), 'issuerAndSerialNumber'),
    digestAlgorithm: digestIdentifier('sha256'),
    signedAttrs: { value, der: retag(set, 0xa0) },
    signatureAlgorithm: { value: decode(algorithmIdentifierSchema, algorithmDer), der: algorithmDer },
    signature: signWith(holder.privateKey, algorithm, set),
    ...changes,
  };
}

function message(changes: Partial<Wire> = {}): Uint8Array {
  const wire: Wire = {
    version: 1,
    digestAlgorithms: [digestIdentifier('sha256')],
    encapContentInfo: { eContentType: CONTENT_TYPE.data, eContent: content },
    certificates: [holder.der],
    signerInfos: [signerInfo()],
    ...changes,
  };
  return encodeContentInfo({ contentType: CONTENT_TYPE.signedData, content: encode(signedDataSchema, wire) });
}

function finding(changes: Partial<Wire> = {}, options?: VerifySignedDataOptions): string {
  const verdict = verifySignedData(parseSignedData(message(changes)), options);
  return verdict.ok ? 'ok' : verdict.finding;
}

function findingWith(attributes: readonly Attribute[] | undefined, changes: Partial<SignerWire> = {}): string {
  return finding({ signerInfos: [signerInfo(attributes, changes)] });
}

describe('a message whose signature is right', () => {
  it('is accepted: the corpus differs from it in one thing each', () => {
    expect(finding()).toBe('ok');
  });

  it('is accepted with its attributes in the order of its sender', () => {
    // RFC 5652 §5.4 asks for DER. Senders that do not sort sign what they send: it is verified as it came.
    const sorted = decode(attributesSchema, encode(attributesSchema, attributesToWire(goodAttributes)));
    const [first, second] = sorted.map((value) => encode(attributesSchema, [value]).subarray(2));
    const unsorted = Buffer.concat([Uint8Array.of(0x31, first!.length + second!.length), second!, first!]);
    const signedAttrs = { value: sorted, der: retag(unsorted, 0xa0) };
    const signature = signWith(holder.privateKey, algorithm, unsorted);
    expect(finding({ signerInfos: [signerInfo(goodAttributes, { signedAttrs, signature })] })).toBe('ok');
  });
});

describe('a certs-only message', () => {
  it('has neither content nor signer', () => {
    const degenerate = { digestAlgorithms: [], signerInfos: [] };
    const refused: [Partial<Wire>, string, string, string][] = [
      [degenerate, 'SignedData.encapContentInfo', 'no content', `${content.length} octets`],
      [{ encapContentInfo: { eContentType: CONTENT_TYPE.data } }, 'SignedData.signerInfos', 'no signer', '1'],
    ];
    for (const [changes, path, expected, found] of refused) {
      expect(() => decodeCertsOnly(message(changes))).toThrow(expect.objectContaining({ path, expected, found }));
    }
    // Empty content is what some servers write for none.
    const empty = { eContentType: CONTENT_TYPE.data, eContent: new Uint8Array() };
    const { certificates } = decodeCertsOnly(message({ ...degenerate, encapContentInfo: empty }));
    expect(certificates.map(hex)).toEqual([hex(holder.der)]);
  });
});

describe('verifySignedData finds', () => {
  it('no signer, several signers', () => {
    expect(finding({ signerInfos: [] })).toBe('signer-absent');
    expect(finding({ signerInfos: [signerInfo(), signerInfo()] })).toBe('several-signers');
  });

  it('absent content, and content that is there twice', () => {
    const encapContentInfo = { eContentType: CONTENT_TYPE.data };
    expect(finding({ encapContentInfo })).toBe('content-absent');
    expect(finding({ encapContentInfo }, { detachedContent: content })).toBe('ok');
    expect(finding({}, { detachedContent: content })).toBe('content-ambiguous');
    // Present and empty is not absent.
    expect(finding({ encapContentInfo: { ...encapContentInfo, eContent: new Uint8Array() } })).toBe(
      'message-digest-mismatch',
    );
  });

  it('digests that are unknown, not accepted, not listed', () => {
    const unknown = { digestAlgorithm: { algorithm: '1.2.840.113549.2.2' } };
    expect(findingWith(goodAttributes, unknown)).toBe('digest-unsupported');
    expect(finding({}, { digests: ['sha512'] })).toBe('digest-not-accepted');
    expect(finding({ digestAlgorithms: [digestIdentifier('sha512')] })).toBe('digest-not-listed');
    expect(finding({ digestAlgorithms: [] })).toBe('digest-not-listed');
  });

  it('a digest that is not the signature’s', () => {
    const attributes = [
      contentTypeAttribute(CONTENT_TYPE.data),
      messageDigestAttribute(digestOctets('sha512', content)),
    ];
    const signerInfos = [signerInfo(attributes, { digestAlgorithm: digestIdentifier('sha512') })];
    expect(finding({ digestAlgorithms: [digestIdentifier('sha512')], signerInfos })).toBe('algorithms-inconsistent');
  });

  it('unknown signature algorithms', () => {
    const value = { algorithm: '1.2.840.10040.4.3' };
    const signatureAlgorithm = { value, der: encode(algorithmIdentifierSchema, value) };
    expect(findingWith(goodAttributes, { signatureAlgorithm })).toBe('signature-algorithm-unsupported');
  });

  it('a signer whose certificate is not in the message', () => {
    expect(finding({ certificates: [other.der] })).toBe('signer-certificate-absent');
    expect(finding({ certificates: undefined })).toBe('signer-certificate-absent');
    const sid = { kind: 'subjectKeyIdentifier', value: new Uint8Array(20) } as const;
    expect(findingWith(goodAttributes, { sid })).toBe('signer-certificate-absent');
  });

  it('two certificates under the signer’s name', () => {
    const serialNumber = holder.certificate.serialNumber;
    const twin = authority.leaf({ subject: 'CN=twin', serialNumber });
    expect(finding({ certificates: [twin.der, holder.der] })).toBe('signer-certificate-ambiguous');
    expect(finding({ certificates: [holder.der, other.der, holder.der] })).toBe('ok');
  });

  it('a certificate without a subjectKeyIdentifier where that is what names it', () => {
    const { der, privateKey } = authority.leaf({ subject: 'CN=bare', omit: [EXTENSION.subjectKeyIdentifier] });
    const sid = { kind: 'subjectKeyIdentifier', value: new Uint8Array() } as const;
    const set = encode(attributesSchema, attributesToWire(goodAttributes));
    const signerInfos = [signerInfo(goodAttributes, { sid, signature: signWith(privateKey, algorithm, set) })];
    expect(finding({ certificates: [der], signerInfos })).toBe('signer-certificate-absent');
  });

  it('missing signed attributes, even where the signature is right over the content', () => {
    const changes = { signedAttrs: undefined, signature: signWith(holder.privateKey, algorithm, content) };
    const signerInfos = [signerInfo(goodAttributes, changes)];
    expect(finding({ signerInfos })).toBe('signed-attributes-absent');
    expect(finding({ signerInfos }, { signedAttributes: 'optional' })).toBe('ok');
    // RFC 5652 §5.3: they MUST be present for any content type but id-data.
    const encapContentInfo = { eContentType: CONTENT_TYPE.signedData, eContent: content };
    expect(finding({ signerInfos, encapContentInfo }, { signedAttributes: 'optional' })).toBe(
      'signed-attributes-absent',
    );
  });

  it('the content of a message made of another’s signed attributes (RFC 5652 §5.4 confusion)', () => {
    // An attacker strips the attributes and presents their DER as the content: the signature fits, if it is allowed to.
    const set = encode(attributesSchema, attributesToWire(goodAttributes));
    const signerInfos = [signerInfo(goodAttributes, { signedAttrs: undefined })];
    const encapContentInfo = { eContentType: CONTENT_TYPE.data, eContent: set };
    expect(finding({ signerInfos, encapContentInfo })).toBe('signed-attributes-absent');
  });

  it('attributes that are absent, doubled, of two values or of another type', () => {
    const [type, digest] = goodAttributes as [Attribute, Attribute];
    expect(findingWith([digest])).toBe('content-type-absent');
    expect(findingWith([type])).toBe('message-digest-absent');
    expect(findingWith([type, digest, digest])).toBe('attribute-duplicated');
    const twoValues = {
      type: CMS_ATTRIBUTE.messageDigest,
      values: [...digest.values, encode(octetString, new Uint8Array(32))],
    };
    expect(findingWith([type, twoValues])).toBe('message-digest-absent');
    const text = attribute(CMS_ATTRIBUTE.contentType, encode(utf8String, CONTENT_TYPE.data));
    expect(findingWith([text, digest])).toBe('content-type-absent');
    expect(findingWith([])).toBe('content-type-absent');
  });

  it('attributes that do not fit the content', () => {
    const [type, digest] = goodAttributes as [Attribute, Attribute];
    expect(findingWith([contentTypeAttribute(CONTENT_TYPE.signedData), digest])).toBe('content-type-mismatch');
    const wrong = messageDigestAttribute(digestOctets('sha256', Buffer.from('other content')));
    expect(findingWith([type, wrong])).toBe('message-digest-mismatch');
    expect(findingWith([type, messageDigestAttribute(new Uint8Array())])).toBe('message-digest-mismatch');
  });

  it('the right attributes in the wrong place: unsigned ones count for nothing', () => {
    const unsignedAttrs = attributesToWire(goodAttributes);
    const signerInfos = [signerInfo(goodAttributes, { signedAttrs: undefined, unsignedAttrs })];
    expect(finding({ signerInfos })).toBe('signed-attributes-absent');
  });

  it('a signature by another key, over other attributes, or by a key of another kind', () => {
    const set = encode(attributesSchema, attributesToWire(goodAttributes));
    const byAnother = signWith(other.privateKey, algorithm, set);
    expect(findingWith(goodAttributes, { signature: byAnother })).toBe('signature-invalid');
    expect(findingWith(goodAttributes, { signature: new Uint8Array() })).toBe('signature-invalid');
    const overContent = signWith(holder.privateKey, algorithm, content);
    expect(findingWith(goodAttributes, { signature: overContent })).toBe('signature-invalid');
    const overWireTag = signWith(holder.privateKey, algorithm, retag(set, 0xa0));
    expect(findingWith(goodAttributes, { signature: overWireTag })).toBe('signature-invalid');
    const der = signatureAlgorithmDer('sha256WithRSAEncryption', true);
    const signatureAlgorithm = { value: decode(algorithmIdentifierSchema, der), der };
    expect(findingWith(goodAttributes, { signatureAlgorithm })).toBe('signature-invalid');
  });

  it('a key of a kind that is not supported', () => {
    // P-256 (1.2.840.10045.3.1.7) becomes a curve of no name (…3.1.9): the signature would not be looked at any more.
    const text = hex(holder.der).replace('2a8648ce3d030107', '2a8648ce3d030109');
    expect(finding({ certificates: [Buffer.from(text, 'hex')] })).toBe('signer-key-unsupported');
  });
});

describe('parseSignedData refuses', () => {
  it('other content types, trailing octets, too many signers and certificates', () => {
    const good = message();
    expect(() => parseSignedData(Buffer.concat([good, Uint8Array.of(0)]))).toThrow(Asn1Error);
    expect(() => parseSignedData(good.subarray(0, -1))).toThrow(Asn1Error);
    const wrongType = encodeContentInfo({ contentType: CONTENT_TYPE.data, content: encode(octetString, content) });
    expect(() => parseSignedData(wrongType)).toThrow(/content type/);
    // CompressedData (RFC 3274) is not a type of ours.
    const compressed = encodeContentInfo({
      contentType: '1.2.840.113549.1.9.16.1.9',
      content: encode(octetString, content),
    });
    expect(() => parseSignedData(compressed)).toThrow(Asn1Error);
    const bomb = wireBomb();
    expect(() => parseSignedData(bomb)).toThrow(Asn1Error);
  });

  it('input beyond the limits of the caller', () => {
    expect(() => parseSignedData(message(), { maxBytes: 100 })).toThrow(Asn1Error);
    expect(() => parseSignedData(message(), { maxDepth: 3 })).toThrow(Asn1Error);
    expect(() => parseSignedData(message(), { maxItems: 10 })).toThrow(Asn1Error);
  });
});

/** A message whose 65 certificates are one too many: its encoder would refuse it, so the SET is put together by hand. */
function wireBomb(): Uint8Array {
  const nulls = Buffer.alloc(2 * 65, Uint8Array.of(0x30, 0x00));
  const certificates = Buffer.concat([Uint8Array.of(0xa0, 0x81, nulls.length), nulls]);
  const head = Buffer.from('020101' + '3100' + '300b06092a864886f70d010701', 'hex');
  const body = Buffer.concat([head, certificates, Uint8Array.of(0x31, 0x00)]);
  const signedData = Buffer.concat([Uint8Array.of(0x30, 0x81, body.length), body]);
  return encodeContentInfo({ contentType: CONTENT_TYPE.signedData, content: signedData });
}
