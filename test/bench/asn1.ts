import 'reflect-metadata';
import { Pkcs10CertificateRequest } from '@peculiar/x509';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { decode, encode } from '../../core/asn1/codec.ts';
import { encodeTbsCertificate, parseCertificate, parseTbsCertificate } from '../../core/x509/certificate.ts';
import { parseCertificationRequest } from '../../core/x509/certification-request.ts';
import { CertificationRequest, TBSCertificate } from '../asn1/pkix.ts';
import { seedFile } from '../fuzz/seed-files.ts';

/** One measured operation: microseconds of the fastest and of the median round. */
export interface Measurement {
  readonly name: string;
  readonly bestMicros: number;
  readonly medianMicros: number;
}

/**
 * The codec on its two hot messages, beside what a general ASN.1 library takes for the same. "codec" is core/asn1 alone
 * with every part typed, "x509" the product's own parser and encoder on top of it.
 */
export function measureAsn1(): readonly Measurement[] {
  const request = seedFile('certification-request-p256');
  const { tbsDer } = parseCertificate(seedFile('certificate-p256'));
  const tbs = decode(TBSCertificate, tbsDer);
  const certificate = parseTbsCertificate(tbsDer);
  const template = { ...certificate, validity: { notBefore: certificate.notBefore, notAfter: certificate.notAfter } };
  const parsed = asn1js.fromBER(tbsDer).result;
  return [
    measure(`decode request (${request.length} octets), codec`, () => decode(CertificationRequest, request)),
    measure('decode request, x509', () => parseCertificationRequest(request)),
    measure('decode request, asn1js', () => asn1js.fromBER(request)),
    measure('decode request, @peculiar/x509', () => new Pkcs10CertificateRequest(request)),
    measure('decode request, pkijs', () => pkijs.CertificationRequest.fromBER(request)),
    measure(`encode TBSCertificate (${tbsDer.length} octets), codec`, () => encode(TBSCertificate, tbs)),
    measure('encode TBSCertificate, x509', () => encodeTbsCertificate(template)),
    measure('encode TBSCertificate, asn1js', () => parsed.toBER()),
  ];
}

// Short rounds: on a busy machine the best of many is what the code takes, the median what the machine gave.
const ROUNDS = 300;
const MILLIS_PER_ROUND = 3;

function measure(name: string, run: () => unknown): Measurement {
  const warmUntil = performance.now() + 300;
  let warmed = 0;
  while (performance.now() < warmUntil) warmed += run() === undefined ? 0 : 1;
  const perRound = Math.max(1, Math.round((warmed / 300) * MILLIS_PER_ROUND));
  const micros = Array.from({ length: ROUNDS }, () => {
    const start = performance.now();
    for (let i = 0; i < perRound; i++) run();
    return ((performance.now() - start) * 1000) / perRound;
  }).toSorted((a, b) => a - b);
  return { name, bestMicros: micros[0]!, medianMicros: micros[ROUNDS / 2]! };
}

if (import.meta.main) {
  console.log(`${'µs'.padEnd(44)}${'best'.padStart(9)}${'median'.padStart(9)}`);
  for (const { name, bestMicros, medianMicros } of measureAsn1()) {
    console.log(`${name.padEnd(44)}${bestMicros.toFixed(2).padStart(9)}${medianMicros.toFixed(2).padStart(9)}`);
  }
}
