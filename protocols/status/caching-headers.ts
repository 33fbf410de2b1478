/** What an HTTP cache is told of an answer (RFC 9111, RFC 5019 §6.2). */
export interface CachingHeaders {
  readonly cacheControl: string;
  readonly expires: string;
}

/** `max-age` and `Expires`, which never outlive `nextUpdate`; the text is made once a second, not once an answer. */
export class CachingClock {
  #second = -1;
  /** Of this second, by max-age: as many as there are authorities with a max-age of their own. */
  readonly #headers = new Map<number, CachingHeaders>();

  /** Times in epoch milliseconds. */
  headers(now: number, nextUpdate: number, maxAgeSeconds: number): CachingHeaders {
    const left = Math.max(0, Math.floor((nextUpdate - now) / 1000));
    if (left < maxAgeSeconds) return { cacheControl: cacheControl(left), expires: httpDate(now + left * 1000) };
    const second = Math.floor(now / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#headers.clear();
    }
    const known = this.#headers.get(maxAgeSeconds);
    if (known) return known;
    const made = { cacheControl: cacheControl(maxAgeSeconds), expires: httpDate((second + maxAgeSeconds) * 1000) };
    this.#headers.set(maxAgeSeconds, made);
    return made;
  }
}

/** A time in the form of HTTP (RFC 9110 §5.6.7). */
export function httpDate(milliseconds: number): string {
  return new Date(milliseconds).toUTCString();
}

function cacheControl(maxAge: number): string {
  return `max-age=${maxAge}, public, no-transform, must-revalidate`;
}

/** Whether a client's copy is the one it would get (RFC 9110 §13.1): the tag decides where there is one. */
export function isUnchanged(
  headers: { readonly 'if-none-match'?: string | undefined; readonly 'if-modified-since'?: string | undefined },
  etag: string,
  lastModified: number,
): boolean {
  const tags = headers['if-none-match'];
  if (tags !== undefined)
    return tags.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag || tag.trim() === '*');
  const since = headers['if-modified-since'];
  return since !== undefined && Math.floor(lastModified / 1000) * 1000 <= Date.parse(since);
}
