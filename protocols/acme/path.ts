/** A path below `/acme/`, read. The label is undefined for the default endpoint. */
export interface Route {
  readonly label: string | undefined;
  readonly resource: ResourceName;
  /** Ids in the path, in order. */
  readonly ids: readonly string[];
}

/** The resources of RFC 8555 §7.1 by their first segment, with the number of ids behind it and the methods they take. */
export const RESOURCES = {
  directory: { ids: 0, methods: ['GET', 'HEAD', 'POST'] },
  'new-nonce': { ids: 0, methods: ['GET', 'HEAD', 'POST'] },
  'new-account': { ids: 0, methods: ['POST'] },
  'new-order': { ids: 0, methods: ['POST'] },
  'key-change': { ids: 0, methods: ['POST'] },
  'revoke-cert': { ids: 0, methods: ['POST'] },
  account: { ids: 1, methods: ['POST'] },
  orders: { ids: 1, methods: ['POST'] },
  order: { ids: 1, methods: ['POST'] },
  finalize: { ids: 1, methods: ['POST'] },
  authorization: { ids: 1, methods: ['POST'] },
  challenge: { ids: 2, methods: ['POST'] },
  certificate: { ids: 1, methods: ['POST'] },
  'certificate-chain': { ids: 2, methods: ['POST'] },
  'renewal-info': { ids: 1, methods: ['GET', 'HEAD'] },
} as const satisfies Record<string, { readonly ids: number; readonly methods: readonly string[] }>;
export type ResourceName = keyof typeof RESOURCES;

const SEGMENT = /^[A-Za-z0-9._-]{1,200}$/;

/** Reads what stands behind `/acme/`; undefined for what names no resource. */
export function parsePath(path: string): Route | undefined {
  if (path === 'directory') return { label: undefined, resource: 'directory', ids: [] };
  const [label, resource = '', ...ids] = path.split('/', 6);
  if (label === undefined || !Object.hasOwn(RESOURCES, resource)) return undefined;
  const name = resource as ResourceName;
  if (ids.length !== RESOURCES[name].ids || ![label, ...ids].every((segment) => SEGMENT.test(segment)))
    return undefined;
  return { label, resource: name, ids };
}

/** The URLs of one endpoint. */
export class AcmeUrls {
  readonly #prefix: string;

  constructor(base: string, label: string) {
    this.#prefix = `${base}/acme/${label}`;
  }

  /** The URL of a resource with its ids. */
  of(resource: ResourceName, ...ids: readonly string[]): string {
    return [this.#prefix, resource, ...ids].join('/');
  }

  /** The id in the URL of an account; undefined for any other URL. */
  accountId(url: string): string | undefined {
    const start = this.of('account', '');
    const id = url.slice(start.length);
    return url.startsWith(start) && SEGMENT.test(id) ? id : undefined;
  }
}
