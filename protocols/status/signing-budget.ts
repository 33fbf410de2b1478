/** How much of the token one source may use. */
export interface SigningLimits {
  /** Signatures a second that one source may cause for long. */
  readonly perSecond: number;
  /** Signatures it may cause at once. */
  readonly burst: number;
}

interface Bucket {
  left: number;
  /** Milliseconds. */
  at: number;
}

/** More sources than this are forgotten, oldest first: a forgotten one has its burst again, and the token's queue its limit. */
const MAX_SOURCES = 50_000;

/** Answers that no cache can hold cost a signature each: what one source may ask of them (V35, V36). */
export class SigningBudget {
  readonly #limits: SigningLimits;
  readonly #buckets = new Map<string, Bucket>();

  constructor(limits: SigningLimits) {
    this.#limits = limits;
  }

  /** Takes one signature of a source's budget at a time (milliseconds); false when it has none left. */
  take(address: string, now: number): boolean {
    const source = sourceOf(address);
    const { perSecond, burst } = this.#limits;
    const bucket = this.#buckets.get(source) ?? this.#open(source, now);
    bucket.left = Math.min(burst, bucket.left + ((now - bucket.at) / 1000) * perSecond);
    bucket.at = now;
    if (bucket.left < 1) return false;
    bucket.left -= 1;
    return true;
  }

  #open(source: string, now: number): Bucket {
    if (this.#buckets.size >= MAX_SOURCES) this.#buckets.delete(this.#buckets.keys().next().value ?? '');
    const bucket = { left: this.#limits.burst, at: now };
    this.#buckets.set(source, bucket);
    return bucket;
  }
}

/** One subscriber of IPv6 has a /64 at least. */
function sourceOf(address: string): string {
  if (!address.includes(':') || address.startsWith('::ffff:')) return address;
  const [head = '', tail = ''] = address.split('::');
  const groups = head.split(':');
  if (!address.includes('::')) return groups.slice(0, 4).join(':');
  const zeros = Array.from({ length: 8 - groups.length - tail.split(':').length }, () => '0');
  return [...groups, ...zeros].slice(0, 4).join(':');
}
