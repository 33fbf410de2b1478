import { decode, encode } from '../../core/asn1/codec.ts';
import { any, generalizedTime, nullValue, type Schema, sequenceOf, utf8String } from '../../core/asn1/schema.ts';
import { CmpFault } from './errors.ts';
import { INFO_TYPE } from './oids.ts';
import type { InfoTypeAndValue, PkiHeader } from './pki-header.ts';

/** What a sender says about its message as a whole (RFC 9810 §5.1.1.1-5.1.1.4). */
export interface GeneralInfo {
  readonly implicitConfirm: boolean;
  /** Names of certificate profiles, in the sender's order; none where it names none. */
  readonly certProfiles: readonly string[];
  /** Messages that an RA changed before it sent this one, DER. */
  readonly originalMessages: readonly Uint8Array[];
}

const certProfileValue = sequenceOf(utf8String, { min: 1, max: 16 });
const originalMessages = sequenceOf(any, { min: 1, max: 64 });

/** implicitConfirm as an answer grants it. */
export const IMPLICIT_CONFIRM: InfoTypeAndValue = {
  infoType: INFO_TYPE.implicitConfirm,
  infoValue: encode(nullValue, null),
};

/** confirmWaitTime: until when a certConf is awaited, in whole seconds. */
export function confirmWaitTime(until: number): InfoTypeAndValue {
  const seconds = new Date(Math.floor(until / 1000) * 1000);
  return { infoType: INFO_TYPE.confirmWaitTime, infoValue: encode(generalizedTime, seconds) };
}

/** The certProfile field (RFC 9810 §5.1.1.4). */
export function readCertProfile(info: readonly InfoTypeAndValue[]): readonly string[] {
  return read(info, INFO_TYPE.certProfile, certProfileValue) ?? [];
}

/**
 * Reads generalInfo; types that are not known are ignored (RFC 9810 §5.1.1).
 * @throws CmpFault `badDataFormat` for a value of another type, `badRequest` for what contradicts itself
 */
export function readGeneralInfo({ generalInfo = [] }: PkiHeader): GeneralInfo {
  const implicitConfirm = read(generalInfo, INFO_TYPE.implicitConfirm, nullValue) !== undefined;
  const waitTime = read(generalInfo, INFO_TYPE.confirmWaitTime, generalizedTime);
  if (implicitConfirm && waitTime !== undefined) {
    throw new CmpFault('badRequest', 'generalInfo: expected implicitConfirm or confirmWaitTime, found both');
  }
  return {
    implicitConfirm,
    certProfiles: readCertProfile(generalInfo),
    originalMessages: read(generalInfo, INFO_TYPE.origPKIMessage, originalMessages) ?? [],
  };
}

function read<T>(info: readonly InfoTypeAndValue[], infoType: string, schema: Schema<T>): T | undefined {
  const [found, another] = info.filter((entry) => entry.infoType === infoType);
  if (found === undefined) return undefined;
  if (another !== undefined) throw new CmpFault('badRequest', `generalInfo: expected ${infoType} once, found it twice`);
  if (found.infoValue === undefined) {
    throw new CmpFault('badDataFormat', `generalInfo: expected a value of ${infoType}, found none`);
  }
  return decode(schema, found.infoValue);
}
