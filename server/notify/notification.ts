/**
 * What may be told, by a stable name and a number for SIEMs that is never used for anything else. The severity is that of
 * RFC 5424 §6.2.1.
 */
export const NOTIFICATION_TYPES = {
  'certificate.expiring': { classId: '1001', severity: 4, title: 'A certificate is about to end' },
  'channel.test': { classId: '1900', severity: 6, title: 'A test of this channel' },
} as const;
export type NotificationType = keyof typeof NOTIFICATION_TYPES;

/** One thing that is told, the same on every channel. Goes through JSON. */
export interface Notification {
  /** Unique: whoever gets it twice sees the same id. */
  readonly id: string;
  readonly type: NotificationType;
  /** RFC 3339. */
  readonly at: string;
  /** Name of the tenant. */
  readonly tenant: string;
  /** One line for people. */
  readonly summary: string;
  /** What programs go by. Values of devices: nothing here is to be trusted as text. */
  readonly details: Readonly<Record<string, string | number>>;
}

/** Text of a device in a line of ours: no control character, and not endless. */
export function lineText(text: string, maxCharacters = 1_000): string {
  return text.replace(/\p{C}/gu, ' ').slice(0, maxCharacters).toWellFormed();
}
