import { type AsnType, fromBER } from 'asn1js';

/** One encoding as asn1js took it apart. */
export interface Tlv {
  readonly identifier: number;
  /** With identifier and length. */
  readonly der: Buffer;
  readonly contents: Buffer;
  /** Of a constructed encoding. */
  readonly children: readonly Tlv[];
}

/** Reads exactly one encoding. */
export function readDer(octets: Uint8Array): Tlv {
  const { offset, result } = fromBER(Uint8Array.from(octets).buffer);
  if (offset !== octets.length) throw new UnreadableAnswer(`one encoding expected: ${result.error || 'more follows'}`);
  return tlvOf(result);
}

/** The child with an identifier octet, if there is one. */
export const childWith = (tlv: Tlv, identifier: number): Tlv | undefined =>
  tlv.children.find((child) => child.identifier === identifier);

/** What stands in [n] EXPLICIT, if that is there. */
export const inContext = (tlv: Tlv, number: number): Tlv | undefined => childWith(tlv, 0xa0 | number)?.children[0];

/** A small INTEGER, signed. */
export function numberOf(tlv: Tlv): number {
  const [first, ...rest] = tlv.contents;
  return rest.reduce((sum, octet) => sum * 256 + octet, first! >= 0x80 ? first! - 256 : first!);
}

/** An OBJECT IDENTIFIER in dotted form. */
export function oidOf(tlv: Tlv): string {
  const arcs: bigint[] = [];
  let value = 0n;
  for (const octet of tlv.contents) {
    value = (value << 7n) | BigInt(octet & 0x7f);
    if (octet < 0x80) {
      arcs.push(value);
      value = 0n;
    }
  }
  const [joined, ...rest] = arcs;
  const first = joined! < 80n ? joined! / 40n : 2n;
  return [first, joined! - first * 40n, ...rest].join('.');
}

/** GeneralizedTime or UTCTime to the second. */
export function timeOf(tlv: Tlv): Date {
  const text = tlv.contents.toString('latin1');
  const long = tlv.identifier === 0x17 ? `${Number(text.slice(0, 2)) < 50 ? '20' : '19'}${text}` : text;
  return new Date(long.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d).*$/, '$1-$2-$3T$4:$5:$6Z'));
}

/** The numbers of the bits that are set in a BIT STRING. */
export function bitsOf(tlv: Tlv): number[] {
  const octets = tlv.contents.subarray(1);
  return Array.from({ length: octets.length * 8 }, (_, bit) => bit).filter(
    (bit) => (octets[bit >> 3]! & (0x80 >> (bit & 7))) !== 0,
  );
}

/** What a certificate says, as far as CMP clients need it; each as DER or octets. */
export interface CertificateFields {
  readonly issuer: Buffer;
  readonly subject: Buffer;
  /** Content octets of the INTEGER. */
  readonly serialNumber: Buffer;
  readonly publicKey: Buffer;
  readonly signatureAlgorithm: string;
  readonly subjectKeyIdentifier: Buffer | undefined;
  readonly notAfter: Date;
  /** Dotted OIDs to their values. */
  readonly extensions: ReadonlyMap<string, Buffer>;
}

/** Reads the fields of a certificate (RFC 5280 §4.1). */
export function readCertificate(der: Uint8Array): CertificateFields {
  const [tbs, algorithm] = readDer(der).children;
  const [serialNumber, , issuer, validity, subject, publicKey] = tbs!.children.slice(1);
  const extensions = new Map(
    (inContext(tbs!, 3)?.children ?? []).map((item) => [oidOf(item.children[0]!), item.children.at(-1)!.contents]),
  );
  const keyIdentifier = extensions.get('2.5.29.14');
  return {
    issuer: issuer!.der,
    subject: subject!.der,
    serialNumber: serialNumber!.contents,
    publicKey: publicKey!.der,
    signatureAlgorithm: oidOf(algorithm!.children[0]!),
    subjectKeyIdentifier: keyIdentifier && readDer(keyIdentifier).contents,
    notAfter: timeOf(validity!.children[1]!),
    extensions,
  };
}

/** The answer is not what the standard's grammar says. */
export class UnreadableAnswer extends Error {}

function tlvOf(block: AsnType): Tlv {
  const der = Buffer.from(block.valueBeforeDecodeView);
  const header = block.idBlock.blockLength + block.lenBlock.blockLength;
  const { value } = block.valueBlock as { value?: unknown };
  const children = block.idBlock.isConstructed && Array.isArray(value) ? (value as AsnType[]).map(tlvOf) : [];
  return { identifier: der[0]!, der, contents: der.subarray(header), children };
}
