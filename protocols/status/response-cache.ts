import type { CertificateStatus } from './messages.ts';

/** A signed answer about one certificate. */
export interface CachedResponse {
  readonly authority: string;
  readonly serialNumber: string;
  readonly status: CertificateStatus;
  /** DER, one octet a character. */
  readonly body: string;
  readonly etag: string;
  /** thisUpdate as HTTP writes it (RFC 5019 §6.2). */
  readonly lastModified: string;
  /** Epoch milliseconds. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** How long caches on the way may keep it. */
  readonly maxAgeSeconds: number;
  /** When a successor should be signed while this one is asked for. */
  readonly refreshAt: number;
}

interface Entry {
  readonly key: string;
  readonly response: CachedResponse;
  /** Requests, as they came, that this answers. */
  readonly aliases: string[];
  bytes: number;
  /** Asked for since eviction last came by. */
  used: boolean;
}

/** What an entry costs besides its octets: objects, map slots, strings. */
const OVERHEAD_BYTES = 600;
const ALIAS_OVERHEAD_BYTES = 120;
/** One certificate is asked about in as many spellings as clients have habits. */
const MAX_ALIASES = 8;

/**
 * Pre-signed answers in memory, bounded in bytes; what has not been asked for goes first. Found by what was asked (authority
 * and CertID), and, without decoding anything, by the request itself.
 */
export class ResponseCache {
  readonly #maxBytes: number;
  readonly #entries = new Map<string, Entry>();
  readonly #aliases = new Map<string, Entry>();
  /** The keys of each certificate: SHA-1 and SHA-256 CertIDs ask about the same one. */
  readonly #byCertificate = new Map<string, Set<string>>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Octets in use, estimated. */
  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): CachedResponse | undefined {
    return used(this.#entries.get(key));
  }

  /** The answer to a request in exactly this spelling. */
  recall(alias: string): CachedResponse | undefined {
    return used(this.#aliases.get(alias));
  }

  set(key: string, response: CachedResponse): void {
    const known = this.#entries.get(key);
    const bytes = response.body.length + key.length + OVERHEAD_BYTES;
    const aliases = known?.aliases ?? [];
    if (known) this.#drop(known);
    const entry: Entry = { key, response, aliases: [], bytes, used: false };
    this.#entries.set(key, entry);
    this.#bytes += bytes;
    const certificate = certificateKey(response.authority, response.serialNumber);
    const keys = this.#byCertificate.get(certificate) ?? new Set();
    this.#byCertificate.set(certificate, keys.add(key));
    for (const alias of aliases) this.alias(alias, key);
    this.#evict();
  }

  /** Notes that a request in this spelling asks for `key`. */
  alias(alias: string, key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.aliases.length >= MAX_ALIASES || this.#aliases.has(alias)) return;
    const bytes = alias.length + ALIAS_OVERHEAD_BYTES;
    entry.aliases.push(alias);
    entry.bytes += bytes;
    this.#bytes += bytes;
    this.#aliases.set(alias, entry);
  }

  /** Forgets every answer about a certificate. */
  forget(authority: string, serialNumber: string): void {
    for (const key of this.#byCertificate.get(certificateKey(authority, serialNumber)) ?? []) {
      const entry = this.#entries.get(key);
      if (entry) this.#drop(entry);
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#aliases.clear();
    this.#byCertificate.clear();
    this.#bytes = 0;
  }

  /** Second chance: an entry that was asked for since the last visit goes to the end of the line. */
  #evict(): void {
    for (const entry of this.#entries.values()) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#entries.delete(entry.key);
      if (entry.used && this.#entries.size > 0) {
        entry.used = false;
        this.#entries.set(entry.key, entry);
      } else this.#drop(entry);
    }
  }

  #drop(entry: Entry): void {
    const { key, response, aliases, bytes } = entry;
    this.#entries.delete(key);
    for (const alias of aliases) this.#aliases.delete(alias);
    const certificate = certificateKey(response.authority, response.serialNumber);
    const keys = this.#byCertificate.get(certificate);
    keys?.delete(key);
    if (keys?.size === 0) this.#byCertificate.delete(certificate);
    this.#bytes -= bytes;
  }
}

function used(entry: Entry | undefined): CachedResponse | undefined {
  if (entry !== undefined) entry.used = true;
  return entry?.response;
}

function certificateKey(authority: string, serialNumber: string): string {
  return `${authority}/${serialNumber}`;
}
