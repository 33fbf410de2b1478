import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import { berToDer } from '../../../core/asn1/ber.ts';
import { decode, encode } from '../../../core/asn1/codec.ts';
import type { Schema } from '../../../core/asn1/schema.ts';
import { EveryType, everyTypeExample } from '../../asn1/every-type.ts';
import { Certificate, CertificationRequest } from '../../asn1/pkix.ts';
import type { FuzzTarget } from '../run-fuzz.ts';
import { seedFile } from '../seed-files.ts';

/** The codec itself, through schemas that use all of it. */
export const asn1Targets: readonly FuzzTarget[] = [
  {
    name: 'asn1 CertificationRequest',
    seeds: () => [seedFile('certification-request-p256'), seedFile('certification-request-rsa')],
    decode: canonical(CertificationRequest),
    allowedErrors: [Asn1Error],
  },
  {
    name: 'asn1 Certificate',
    seeds: () => [seedFile('certificate-p256'), seedFile('certificate-ca-rsa')],
    decode: canonical(Certificate),
    allowedErrors: [Asn1Error],
  },
  {
    name: 'asn1 every type',
    seeds: () => [encode(EveryType, everyTypeExample())],
    decode: canonical(EveryType),
    allowedErrors: [Asn1Error],
  },
  {
    name: 'asn1 berToDer',
    seeds: () =>
      ['signed-data-ber', 'enveloped-data-rsa-ber', 'signed-data', 'certification-request-p256'].map(seedFile),
    decode: normaliseTwice,
    allowedErrors: [Asn1Error],
  },
];

/** What strict DER promises: whatever is accepted encodes to the same octets. A RangeError here fails the run. */
function canonical<T>(schema: Schema<T>): (bytes: Uint8Array) => void {
  return (bytes) => {
    const der = encode(schema, decode(schema, bytes));
    if (Buffer.compare(der, bytes) !== 0) throw new RangeError(`encodes to ${Buffer.from(der).toString('hex')}`);
  };
}

function normaliseTwice(bytes: Uint8Array): void {
  const der = berToDer(bytes);
  if (Buffer.compare(berToDer(der), der) !== 0) throw new RangeError('not idempotent');
}
