/** A label as endpoints have them; anything else names no endpoint. */
const LABEL = /^[a-z0-9-]{1,63}$/;
/** What devices and NDES put behind whatever URL they are given (S1); a label of that name still wins. */
const USUAL_SEGMENTS = new Set(['cgi-bin', 'certsrv', 'mscep']);
const NDES_PAGE = /(?:^|\/)(?:certsrv\/)?mscep_admin\/?$/i;

/** What a path below `/scep` names. */
export interface ScepPath {
  /** Undefined: the default endpoint. */
  readonly label: string | undefined;
  /** Whether the label may also be a segment that devices append by themselves. */
  readonly isUsualSegment: boolean;
  readonly isNdesPage: boolean;
}

/** Reads the path below `/scep/` (S1): a label, then anything, or anything without one. */
export function parsePath(path: string): ScepPath {
  const [first = ''] = path.split('/', 1);
  const label = LABEL.test(first) ? first : undefined;
  return { label, isUsualSegment: USUAL_SEGMENTS.has(first), isNdesPage: NDES_PAGE.test(path) };
}
