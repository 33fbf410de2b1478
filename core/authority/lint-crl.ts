import { setImmediate as nextTurn } from 'node:timers/promises';

import { decode } from '../asn1/codec.ts';
import {
  any,
  explicit,
  type Infer,
  optional,
  type Schema,
  sequence,
  smallInteger,
  time,
  withDer,
} from '../asn1/schema.ts';
import { InternalError, PolicyError } from '../errors/muster-error.ts';
import { CRL_REASON } from '../x509/crl.ts';
import { type Extension, EXTENSIONS, extensionsSchema } from '../x509/extensions.ts';
import { octetsEqual } from '../x509/octets.ts';
import { keyIdentifier } from '../x509/public-key.ts';
import { type SignatureAlgorithm, signatureAlgorithmSchema } from '../x509/signature-algorithm.ts';
import type { IssuerNames } from './lint.ts';

const SEQUENCE = 0x30;
const madeHere = Symbol('linted');

/** A TBSCertList that passed every rule, and may be signed once: what {@link Linted} is for certificates. */
export class LintedCertList {
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly #tbsDer: Uint8Array;
  #redeemed = false;

  constructor(key: typeof madeHere, tbsDer: Uint8Array, signatureAlgorithm: SignatureAlgorithm) {
    if (key !== madeHere) throw new InternalError('only lint makes a linted CRL');
    this.#tbsDer = tbsDer;
    this.signatureAlgorithm = signatureAlgorithm;
  }

  /** The bytes to sign; works once. */
  redeem(): Uint8Array {
    if (this.#redeemed) throw new InternalError('a linted CRL is signed once');
    this.#redeemed = true;
    return this.#tbsDer;
  }
}

// Entries are walked below, one by one: a million of them must not become a million objects.
const rawEntries: Schema<Uint8Array> = { ...any, typeName: 'revokedCertificates', identifiers: () => [SEQUENCE] };

const tbsCertList = sequence('TBSCertList', {
  version: smallInteger,
  signature: withDer(signatureAlgorithmSchema),
  issuer: any,
  thisUpdate: time,
  nextUpdate: time,
  revokedCertificates: optional(rawEntries),
  crlExtensions: explicit(0, extensionsSchema),
});

type TbsCertList = Infer<typeof tbsCertList>;

const LIMITS = { maxBytes: 1 << 30 };
const V2 = 1;
const MAX_OCTETS = 20;

/**
 * Decodes a TBSCertList and checks what it says against RFC 5280 §5. A long list is checked in slices, so that the event loop
 * answers in between.
 * @throws PolicyError `lint-failed`, naming the rule and its finding; Asn1Error where it is not DER.
 */
export async function lintCertList(
  tbsDer: Uint8Array,
  issuer: Pick<IssuerNames, 'subject' | 'publicKey'>,
): Promise<LintedCertList> {
  const tbs = decode(tbsCertList, tbsDer, LIMITS);
  require(tbs.version === V2, 'the version is not 2', '§5.1.2.1');
  require(octetsEqual(
    tbs.issuer,
    issuer.subject.der,
  ), 'the issuer is not the subject of the CA, octet by octet', '§5.1.2.3');
  require(tbs.thisUpdate < tbs.nextUpdate, 'nextUpdate is not after thisUpdate', '§5.1.2.5');
  const isDelta = checkExtensions(tbs, issuer);
  if (tbs.revokedCertificates !== undefined) await checkEntries(tbs.revokedCertificates, isDelta);
  return new LintedCertList(madeHere, tbsDer, tbs.signature.value);
}

/** Whether the criticality of each kind of extension is as RFC 5280 §5.2 says; kinds that are not here are not written. */
const CRITICAL: ReadonlyMap<string, boolean> = new Map([
  [EXTENSIONS.authorityKeyIdentifier.oid, false],
  [EXTENSIONS.crlNumber.oid, false],
  [EXTENSIONS.freshestCRL.oid, false],
  [EXTENSIONS.deltaCRLIndicator.oid, true],
  [EXTENSIONS.issuingDistributionPoint.oid, true],
]);

function checkExtensions({ crlExtensions }: TbsCertList, issuer: Pick<IssuerNames, 'publicKey'>): boolean {
  for (const { oid, critical } of crlExtensions) {
    require(CRITICAL.get(oid) === critical, `the extension ${oid} is unknown or of the wrong criticality`, '§5.2');
  }
  const identifier = EXTENSIONS.authorityKeyIdentifier.find(crlExtensions)?.keyIdentifier;
  const isOwn = identifier !== undefined && octetsEqual(identifier, keyIdentifier(issuer.publicKey));
  require(isOwn, 'authorityKeyIdentifier does not name the key of the CA', '§5.2.1');
  const number = EXTENSIONS.crlNumber.find(crlExtensions);
  require(number !== undefined &&
    number > 0n &&
    number < 1n << 159n, 'cRLNumber is missing or has over 20 octets', '§5.2.3');
  const base = EXTENSIONS.deltaCRLIndicator.find(crlExtensions);
  if (base === undefined) return false;
  require(base > 0n && number !== undefined && base <= number, 'BaseCRLNumber is not one of an earlier CRL', '§5.2.4');
  const nested = EXTENSIONS.freshestCRL.find(crlExtensions) !== undefined;
  require(!nested, 'a delta CRL names a freshest CRL', '§5.2.6');
  return true;
}

const ENTRIES_A_TURN = 4_000;

async function checkEntries(list: Uint8Array, isDelta: boolean): Promise<void> {
  const walker = new EntryWalker(list, isDelta);
  require(!walker.ended, 'revokedCertificates is present and empty', '§5.1.2.6');
  for (let count = 1; !walker.ended; count++) {
    walker.next();
    if (count % ENTRIES_A_TURN === 0) await nextTurn();
  }
}

const INTEGER = 0x02;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;

const KNOWN = 64;

/** Steps over the entries of a CRL without making anything of them. */
class EntryWalker {
  readonly #bytes: Uint8Array;
  readonly #isDelta: boolean;
  /** Whether an encoding of entry extensions takes the entry back; there are hardly more encodings than reasons. */
  readonly #known = new Map<string, boolean>();
  #offset: number;
  /** Where the serial number of the entry before starts and ends. */
  #previous = { start: 0, end: 0 };

  constructor(list: Uint8Array, isDelta: boolean) {
    this.#bytes = list;
    this.#isDelta = isDelta;
    this.#offset = 0;
    const end = this.#enter(SEQUENCE);
    require(end === list.length, 'revokedCertificates is not one SEQUENCE', '§5.1');
  }

  get ended(): boolean {
    return this.#offset === this.#bytes.length;
  }

  next(): void {
    const end = this.#enter(SEQUENCE);
    this.#serial();
    const bytes = this.#bytes;
    const isTime = bytes[this.#offset] === UTC_TIME || bytes[this.#offset] === GENERALIZED_TIME;
    require(isTime, 'an entry has no revocationDate', '§5.1.2.6');
    this.#offset = this.#enter(bytes[this.#offset]!);
    if (this.#offset < end) this.#extensions(bytes.subarray(this.#offset, end));
    require(this.#offset <= end, 'an entry is longer than it says', '§5.1');
    this.#offset = end;
  }

  /** Positive, at most 20 octets, and after the one before: so none stands twice. */
  #serial(): void {
    const end = this.#enter(INTEGER);
    const bytes = this.#bytes;
    require(bytes[this.#offset]! < 0x80, 'a serial number is negative', '§5.1.2.6');
    const start = bytes[this.#offset] === 0 ? this.#offset + 1 : this.#offset;
    require(start < end && end - start <= MAX_OCTETS, 'a serial number is zero or has over 20 octets', '§4.1.2.2');
    const previous = this.#previous;
    require(isBefore(bytes, previous, { start, end }), 'a serial number is out of order or stands twice', '§5.1.2.6');
    this.#previous = { start, end };
    this.#offset = end;
  }

  #extensions(der: Uint8Array): void {
    const key = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('latin1');
    const removes = this.#known.get(key) ?? entryRemoves(der);
    if (this.#known.size < KNOWN) this.#known.set(key, removes);
    require(this.#isDelta || !removes, 'a complete CRL has an entry with removeFromCRL', '§5.3.1');
  }

  #enter(identifier: number): number {
    const bytes = this.#bytes;
    require(bytes[this.#offset] === identifier, `found another element than ${identifier}`, '§5.1');
    let length = bytes[this.#offset + 1] ?? bytes.length;
    this.#offset += 2;
    if (length >= 0x80) {
      const octets = length & 0x7f;
      length = 0;
      for (let i = 0; i < octets; i++) length = length * 256 + (bytes[this.#offset++] ?? bytes.length);
    }
    const end = this.#offset + length;
    require(end <= bytes.length, 'an element is longer than its list', '§5.1');
    return end;
  }
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** The order of the database: octet by octet, the shorter first. */
function isBefore(bytes: Uint8Array, a: Span, b: Span): boolean {
  const length = Math.min(a.end - a.start, b.end - b.start);
  for (let i = 0; i < length; i++) {
    const difference = bytes[a.start + i]! - bytes[b.start + i]!;
    if (difference !== 0) return difference < 0;
  }
  return a.end - a.start < b.end - b.start;
}

function entryRemoves(der: Uint8Array): boolean {
  const extensions: readonly Extension[] = decode(extensionsSchema, der);
  for (const { oid, critical } of extensions) {
    const isKnown = oid === EXTENSIONS.reasonCode.oid || oid === EXTENSIONS.invalidityDate.oid;
    require(isKnown && !critical, `an entry has the extension ${oid} or a critical one`, '§5.3');
  }
  const reason = EXTENSIONS.reasonCode.find(extensions);
  const codes: readonly number[] = Object.values(CRL_REASON);
  const isWritten = reason === undefined || (reason !== CRL_REASON.unspecified && codes.includes(reason));
  require(isWritten, 'an entry has a reason that is not written', '§5.3.1');
  return reason === CRL_REASON.removeFromCRL;
}

function require(condition: boolean, finding: string, source: string): void {
  if (!condition) throw new PolicyError('lint-failed', `${finding} (CRL, RFC 5280 ${source})`);
}
