import { hostname } from 'node:os';
import { connect } from 'node:tls';
import { DeliveryError } from './delivery-error.ts';
import { cefLine } from './cef.ts';
import type { Channel } from './channel-settings.ts';
import { lineText, type Notification, NOTIFICATION_TYPES } from './notification.ts';

const TIMEOUT_MS = 10_000;
/** log audit (RFC 5424 §6.2.1). */
const FACILITY = 13;
/** The example number of RFC 5612: structured data of a private kind need an enterprise number, and Muster has none. */
const STRUCTURED_DATA_ID = 'muster@32473';

/** Tells a syslog receiver: one message, framed by octet counting (RFC 5425 §4.3). @throws DeliveryError */
export async function tellSyslog(
  { settings }: Extract<Channel, { kind: 'syslog' }>,
  notification: Notification,
  version: string,
): Promise<void> {
  const { host, port, format, authority } = settings;
  const message = Buffer.from(syslogMessage(notification, format, version));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({ host, port, servername: host, ...(authority !== undefined && { ca: authority }) }, () => {
    socket.end(Buffer.concat([Buffer.from(`${message.length} `), message]));
  });
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new DeliveryError('no answer in time')));
  socket.on('error', reject);
  socket.on('close', (hadError) => {
    if (!hadError) resolve();
  });
  socket.resume();
  try {
    await promise;
  } catch (cause) {
    throw new DeliveryError(`the syslog receiver ${host} cannot be told`, { cause });
  }
}

/** RFC 5424 §6: header, structured data with the details, and the summary or a line of CEF. */
function syslogMessage(notification: Notification, format: 'rfc5424' | 'cef', version: string): string {
  const { type, at, id, summary, tenant, details } = notification;
  const priority = FACILITY * 8 + NOTIFICATION_TYPES[type].severity;
  const header = `<${priority}>1 ${at} ${hostname()} muster - ${type}`;
  if (format === 'cef') return `${header} - ${cefLine(notification, version)}`;
  const parameters = Object.entries({ id, tenant, ...details }).map(([name, value]) => `${name}="${escaped(value)}"`);
  // RFC 5424 §6.4: the mark says that the text is UTF-8.
  return `${header} [${STRUCTURED_DATA_ID} ${parameters.join(' ')}] \uFEFF${lineText(summary)}`;
}

/** RFC 5424 §6.3.3: `"`, `\` and `]` are escaped. */
function escaped(value: string | number): string {
  return lineText(String(value)).replace(/["\\\]]/g, String.raw`\$&`);
}
