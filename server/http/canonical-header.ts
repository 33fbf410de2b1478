/** Header names whose canonical spelling is not "each word capitalised". */
const irregular: Readonly<Record<string, string>> = {
  'www-authenticate': 'WWW-Authenticate',
  etag: 'ETag',
  'content-md5': 'Content-MD5',
  te: 'TE',
};

const known = new Map<string, string>(Object.entries(irregular));
const canonicalOnes = new Set<unknown>(Object.values(irregular));
/** Names come from our own code, so the map stays small; the bound holds should one ever come from a peer. */
const maximumKnown = 256;

/**
 * The spelling of a header name that old clients compare byte for byte (`content-type` → `Content-Type`). HTTP says
 * names are case-insensitive (RFC 9110 §5.1); libest, for one, is not.
 */
export function canonicalHeaderName(name: string): string {
  const lower = name.toLowerCase();
  const found = known.get(lower);
  if (found !== undefined) return found;
  const canonical = lower.replace(/(^|-)[a-z]/g, (start) => start.toUpperCase());
  if (known.size < maximumKnown) {
    known.set(lower, canonical);
    canonicalOnes.add(canonical);
  }
  return canonical;
}

/** Whether a name is known to be spelled so already; one that was never asked for may be, and is not known to. */
export function isCanonical(name: unknown): boolean {
  return canonicalOnes.has(name);
}
