import { toHex } from './octets.ts';

/** A prime curve y² = x³ − 3x + b (SEC 2, FIPS 186-5): the three that may be named in a SubjectPublicKeyInfo. */
interface Curve {
  readonly octets: number;
  readonly p: bigint;
  readonly b: bigint;
}

/** The curves that Muster knows, by the names of FIPS 186-5. */
export type CurveName = 'P-256' | 'P-384' | 'P-521';

const CURVES: Record<CurveName, Curve> = {
  'P-256': {
    octets: 32,
    p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
    b: BigInt('0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b'),
  },
  'P-384': {
    octets: 48,
    p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
    b: BigInt('0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef'),
  },
  'P-521': {
    octets: 66,
    p: 2n ** 521n - 1n,
    b: BigInt(
      '0x0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00',
    ),
  },
};

/** Octets of one coordinate on a curve; an uncompressed point is 1 + twice as long (SEC 1 §2.3.3). */
export function coordinateOctets(curve: CurveName): number {
  return CURVES[curve].octets;
}

/** Whether an uncompressed point (0x04 ‖ X ‖ Y) satisfies the equation of its curve, coordinates reduced (SEC 1 §3.2.2.1). */
export function isPointOnCurve(name: CurveName, point: Uint8Array): boolean {
  const { octets, p, b } = CURVES[name];
  const x = BigInt(`0x${toHex(point.subarray(1, 1 + octets))}`);
  const y = BigInt(`0x${toHex(point.subarray(1 + octets))}`);
  return x < p && y < p && (y * y - (x * x - 3n) * x - b) % p === 0n;
}
