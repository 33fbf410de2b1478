import type { CmpSettings } from '../../core/enrollment/cmp-settings.ts';
import { octetsEqual } from '../../core/x509/octets.ts';
import { commonNames } from '../../core/x509/name.ts';
import { CmpFault } from './errors.ts';
import { PVNO, type PkiHeader } from './pki-header.ts';

/** Octets of transactionID and nonces: RFC 9483 §3.1 has 16; others are taken within bounds. */
const EXACT_OCTETS = 16;
const TOLERATED_OCTETS = { min: 4, max: 64 };

/** RFC 9483 §3.5, as far as a header can be judged by itself. Throws CmpFault with the failInfo of the field. */
export function checkHeader(
  header: PkiHeader,
  { conformance, clockSkewSeconds }: Pick<CmpSettings, 'conformance' | 'clockSkewSeconds'>,
  now: number,
): void {
  const strict = conformance === 'lightweight';
  checkVersion(header);
  checkOctets(header.transactionID, strict, 'badDataFormat', 'transactionID');
  checkOctets(header.senderNonce, strict, 'badSenderNonce', 'senderNonce');
  checkTime(header, strict, clockSkewSeconds, now);
}

/**
 * RFC 9483 §3.5: the first message of a transaction echoes no nonce, unless a nonce for evidence was asked for in it before
 * (draft-ietf-lamps-attestation-freshness §6): nothing is remembered of that. Throws CmpFault.
 */
export function checkFirst(
  header: PkiHeader,
  { conformance, nonceTypes }: Pick<CmpSettings, 'conformance' | 'nonceTypes'>,
): void {
  if (conformance === 'lightweight' && nonceTypes === undefined && header.recipNonce !== undefined) {
    throw new CmpFault('badRecipientNonce', 'recipNonce: expected none in the first message');
  }
}

/** RFC 9810 §5.1.1: a later message echoes our nonce and brings a new one. Throws CmpFault. */
export function checkNonces(header: PkiHeader, ours: Uint8Array, before: Uint8Array): void {
  if (header.recipNonce === undefined || !octetsEqual(header.recipNonce, ours)) {
    throw new CmpFault('badRecipientNonce', 'recipNonce: expected the senderNonce of the message answered');
  }
  if (header.senderNonce !== undefined && octetsEqual(header.senderNonce, before)) {
    throw new CmpFault('badSenderNonce', 'senderNonce: expected a fresh one, found that of the message before');
  }
}

/** RFC 9483 §3.1: with a MAC, sender is a directoryName whose commonName is the reference in senderKID. Throws CmpFault. */
export function checkMacSender({ sender, senderKID }: PkiHeader): void {
  const names = sender.kind === 'directoryName' ? commonNames(sender.value) : [];
  const reference = senderKID && Buffer.from(senderKID).toString('utf8');
  if (reference === undefined || names.length !== 1 || names[0] !== reference) {
    throw new CmpFault('badMessageCheck', 'sender: expected a directoryName with the reference as its commonName');
  }
}

// RFC 9810 §7: versions 2 and 3 differ in what they may hold, not in how they are read.
function checkVersion({ pvno }: PkiHeader): void {
  if (pvno === PVNO.cmp2000 || pvno === PVNO.cmp2021) return;
  throw new CmpFault('unsupportedVersion', `pvno: expected 2 or 3, found ${pvno}`);
}

function checkOctets(
  octets: Uint8Array | undefined,
  strict: boolean,
  failInfo: 'badDataFormat' | 'badSenderNonce',
  field: string,
): void {
  if (octets === undefined) throw new CmpFault(failInfo, `${field}: expected one, found none`);
  const { min, max } = strict ? { min: EXACT_OCTETS, max: EXACT_OCTETS } : TOLERATED_OCTETS;
  if (octets.length < min || octets.length > max) {
    throw new CmpFault(
      failInfo,
      `${field}: expected ${min === max ? min : `${min} to ${max}`} octets, found ${octets.length}`,
    );
  }
}

function checkTime({ messageTime }: PkiHeader, strict: boolean, clockSkewSeconds: number, now: number): void {
  if (messageTime === undefined) {
    if (strict) throw new CmpFault('badTime', 'messageTime: expected one, found none', 'bad-time');
    return;
  }
  if (clockSkewSeconds === 0 || Math.abs(messageTime.getTime() - now) <= clockSkewSeconds * 1000) return;
  throw new CmpFault('badTime', `messageTime: expected one within ${clockSkewSeconds} seconds of ours`, 'bad-time');
}
