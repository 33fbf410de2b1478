import { type KeyObject, sign } from 'node:crypto';

import { decode, encode } from '../../core/asn1/codec.ts';
import { any, bitString, oid, optional, sequence } from '../../core/asn1/schema.ts';

const signed = sequence('SIGNED', {
  toBeSigned: any,
  signatureAlgorithm: sequence('AlgorithmIdentifier', { algorithm: oid, parameters: optional(any) }),
  signature: bitString,
});
const MD5_WITH_RSA = { algorithm: '1.2.840.113549.1.1.4', parameters: Uint8Array.of(0x05, 0x00) };
/** sha256WithRSAEncryption and md5WithRSAEncryption differ in one octet. */
const SHA256_WITH_RSA_DER = Buffer.from('06092a864886f70d01010b', 'hex');

/** The same PKCS #10 request, signed with MD5. */
export function md5Request(der: Uint8Array, key: KeyObject): Uint8Array {
  const { toBeSigned } = decode(signed, der);
  return assemble(toBeSigned, key);
}

/** The same certificate, signed with MD5. */
export function md5SelfSigned(der: Uint8Array, key: KeyObject): Uint8Array {
  const toBeSigned = Buffer.from(decode(signed, der).toBeSigned);
  toBeSigned[toBeSigned.indexOf(SHA256_WITH_RSA_DER) + SHA256_WITH_RSA_DER.length - 1] = 0x04;
  return assemble(toBeSigned, key);
}

function assemble(toBeSigned: Uint8Array, key: KeyObject): Uint8Array {
  const signature = { unusedBits: 0, bytes: new Uint8Array(sign('md5', toBeSigned, key)) };
  return encode(signed, { toBeSigned, signatureAlgorithm: MD5_WITH_RSA, signature });
}
