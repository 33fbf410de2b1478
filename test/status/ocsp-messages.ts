import { hash } from 'node:crypto';

import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';

import type { Certificate } from '../../core/x509/certificate.ts';

/** Requests and answers by another library than ours: pkijs reads what we write, and writes what we read. */

const OIDS = { sha1: '1.3.14.3.2.26', sha256: '2.16.840.1.101.3.4.2.1', sha512: '2.16.840.1.101.3.4.2.3' } as const;
const NONCE = '1.3.6.1.5.5.7.48.1.2';

/** What a test sets of a request. */
export interface RequestOptions {
  readonly hash?: keyof typeof OIDS;
  /** The nonce's octets; `raw`: the octets of extnValue itself. */
  readonly nonce?: Uint8Array | { readonly raw: Uint8Array };
  readonly extensions?: readonly { readonly oid: string; readonly critical?: boolean; readonly value: Uint8Array }[];
}

/** A request about some serial numbers (hex) of one issuer. */
export function ocspRequest(issuer: Certificate, serials: readonly string[], options: RequestOptions = {}): Buffer {
  return ocspRequestOf(
    serials.map((serial) => [issuer, serial]),
    options,
  );
}

/** A request about certificates of several issuers. */
export function ocspRequestOf(
  asked: readonly (readonly [issuer: Certificate, serial: string])[],
  options: RequestOptions = {},
): Buffer {
  const { hash: hashName = 'sha1', nonce, extensions = [] } = options;
  const extnValue = nonce && ('raw' in nonce ? nonce.raw : derOf(new asn1js.OctetString({ valueHex: nonce })));
  const all = [...extensions, ...(extnValue ? [{ oid: NONCE, critical: false, value: extnValue }] : [])];
  const tbsRequest = new pkijs.TBSRequest({
    requestList: asked.map(([issuer, serial]) => new pkijs.Request({ reqCert: certId(issuer, serial, hashName) })),
    ...(all.length > 0 && {
      requestExtensions: all.map(
        ({ oid, critical = false, value }) =>
          new pkijs.Extension({ extnID: oid, critical, extnValue: bufferOf(value) }),
      ),
    }),
  });
  return Buffer.from(new pkijs.OCSPRequest({ tbsRequest }).toSchema(true).toBER());
}

function certId(issuer: Certificate, serial: string, hashName: keyof typeof OIDS): pkijs.CertID {
  const key = new pkijs.PublicKeyInfo({ schema: asn1js.fromBER(bufferOf(issuer.publicKey.der)).result });
  const hex = Number.parseInt(serial.slice(0, 2), 16) >= 0x80 ? `00${serial}` : serial;
  return new pkijs.CertID({
    hashAlgorithm: new pkijs.AlgorithmIdentifier({ algorithmId: OIDS[hashName], algorithmParams: new asn1js.Null() }),
    issuerNameHash: new asn1js.OctetString({ valueHex: hash(hashName, issuer.subject.der, 'buffer') }),
    issuerKeyHash: new asn1js.OctetString({
      valueHex: hash(hashName, Buffer.from(key.subjectPublicKey.valueBlock.valueHexView), 'buffer'),
    }),
    serialNumber: new asn1js.Integer({ valueHex: bufferOf(Buffer.from(hex, 'hex')) }),
  });
}

/** An answer as pkijs reads it. */
export interface OcspAnswerRead {
  /** OCSPResponseStatus. */
  readonly status: number;
  readonly basic: pkijs.BasicOCSPResponse | undefined;
  readonly responses: readonly {
    readonly serialNumber: string;
    readonly status: 'good' | 'revoked' | 'unknown';
    readonly reason: number | undefined;
    readonly thisUpdate: Date;
    readonly nextUpdate: Date | undefined;
  }[];
  readonly nonce: Uint8Array | undefined;
}

/** Decodes an answer. */
export function readOcspResponse(der: Uint8Array): OcspAnswerRead {
  const response = new pkijs.OCSPResponse({ schema: asn1js.fromBER(bufferOf(der)).result });
  const status = response.responseStatus.valueBlock.valueDec;
  if (!response.responseBytes) return { status, basic: undefined, responses: [], nonce: undefined };
  const octets = response.responseBytes.response.valueBlock.valueHexView;
  const basic = new pkijs.BasicOCSPResponse({ schema: asn1js.fromBER(bufferOf(octets)).result });
  const { responses, responseExtensions = [] } = basic.tbsResponseData;
  const nonce = responseExtensions.find(({ extnID }) => extnID === NONCE);
  return { status, basic, responses: responses.map(readSingle), nonce: nonce?.extnValue.valueBlock.valueHexView };
}

function readSingle({ certID, certStatus, thisUpdate, nextUpdate }: pkijs.SingleResponse) {
  const { tagNumber } = (certStatus as asn1js.BaseBlock).idBlock;
  const parts = tagNumber === 1 ? (certStatus as asn1js.Constructed).valueBlock.value : [];
  const reason = (parts[1] as asn1js.Constructed | undefined)?.valueBlock.value[0] as asn1js.Enumerated | undefined;
  const hex = Buffer.from(certID.serialNumber.valueBlock.valueHexView)
    .toString('hex')
    .replace(/^(00)+(?=.)/, '');
  return {
    serialNumber: hex,
    status: (['good', 'revoked', 'unknown'] as const)[tagNumber]!,
    reason: reason?.valueBlock.valueDec,
    thisUpdate,
    nextUpdate,
  };
}

function derOf(block: asn1js.BaseBlock): Uint8Array {
  return new Uint8Array(block.toBER());
}

function bufferOf(octets: Uint8Array): ArrayBuffer {
  return new Uint8Array(octets).buffer;
}
