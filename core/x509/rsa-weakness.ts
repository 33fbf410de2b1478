import type { KeyWeakness } from './key-weakness.ts';
import { toHex } from './octets.ts';
import { rsaModulus, type SubjectPublicKeyInfo } from './public-key.ts';

/** Rounds of Fermat's method: Boulder's and the CA/Browser Forum's figure (Baseline Requirements §6.1.1.3). */
const FERMAT_ROUNDS = 100;
/** Primes up to here are tried as factors. */
const SMALL_PRIME_LIMIT = 752;
/** The primes of the ROCA fingerprint (Nemec et al., CCS 2017, §3): the smallest ones that tell keys apart best. */
const ROCA_PRIMES = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113,
  127, 131, 137, 139, 149, 151, 157, 163, 167,
];
const ROCA_GENERATOR = 65_537;

const SMALL_PRIMES = primesBelow(SMALL_PRIME_LIMIT).filter((prime) => prime !== 2);
const SMALL_PRIMES_PRODUCT = SMALL_PRIMES.reduce((product, prime) => product * BigInt(prime), 1n);
const ROCA_SUBGROUPS = ROCA_PRIMES.map((prime) => ({ prime, members: subgroup(ROCA_GENERATOR % prime, prime) }));
/** Squares modulo 5040: lets 94 of 100 numbers pass by without a square root. */
const SQUARES = new Set(Array.from({ length: 5040 }, (_, i) => (i * i) % 5040));

/** The weakness of an RSA key, if it has one of those that `findKeyWeakness` names. */
export function findRsaWeakness(publicKey: SubjectPublicKeyInfo): KeyWeakness | undefined {
  const modulus = BigInt(`0x${toHex(rsaModulus(publicKey))}`);
  const residue = modulus % SMALL_PRIMES_PRODUCT;
  const residues = new Map(SMALL_PRIMES.map((prime) => [prime, Number(residue % BigInt(prime))]));
  for (const [prime, rest] of residues) {
    if (rest === 0) return { kind: 'rsa-small-factor', detail: `the modulus is divisible by ${prime}` };
  }
  if (ROCA_SUBGROUPS.every(({ prime, members }) => members.has(residues.get(prime)!))) {
    return { kind: 'rsa-roca', detail: 'the modulus has the structure of keys made by the faulty Infineon library' };
  }
  if (hasClosePrimes(modulus)) {
    return { kind: 'rsa-close-primes', detail: `Fermat's method finds the factors within ${FERMAT_ROUNDS} rounds` };
  }
  return undefined;
}

/** Fermat: N = a² − b² with a just above √N where the primes are close. A perfect square counts (b = 0). */
function hasClosePrimes(modulus: bigint): boolean {
  const floor = squareRoot(modulus);
  let a = floor * floor === modulus ? floor : floor + 1n;
  let b2 = a * a - modulus;
  for (let round = 0; round < FERMAT_ROUNDS; round++) {
    if (SQUARES.has(Number(b2 % 5040n)) && squareRoot(b2) ** 2n === b2) return true;
    b2 += 2n * a + 1n;
    a += 1n;
  }
  return false;
}

/** Integer square root, rounded down (Newton from above). */
function squareRoot(n: bigint): bigint {
  if (n < 2n) return n;
  let x = 1n << BigInt((n.toString(16).length * 4 + 1) >> 1);
  for (;;) {
    const next = (x + n / x) >> 1n;
    if (next >= x) return x;
    x = next;
  }
}

function primesBelow(limit: number): number[] {
  const primes: number[] = [];
  for (let n = 2; n < limit; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
  return primes;
}

function subgroup(generator: number, prime: number): ReadonlySet<number> {
  const members = new Set<number>();
  for (let power = 1; !members.has(power); power = (power * generator) % prime) members.add(power);
  return members;
}
