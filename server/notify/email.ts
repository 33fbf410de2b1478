import { DeliveryError } from './delivery-error.ts';
import type { Secret } from '../../core/keys/secret.ts';
import type { Channel } from './channel-settings.ts';
import { lineText, type Notification, NOTIFICATION_TYPES } from './notification.ts';

const TIMEOUT_MS = 20_000;

/** Tells people by mail: one message to all of them, with the event's id as its Message-ID. @throws DeliveryError */
export async function tellByEmail(
  { settings }: Extract<Channel, { kind: 'email' }>,
  password: Secret | undefined,
  notification: Notification,
): Promise<void> {
  const { host, port, security, username, from, to, authority } = settings;
  // Loaded here alone: most installations send no mail.
  const { createTransport } = await import('nodemailer');
  const transport = createTransport({
    host,
    port,
    secure: security === 'tls',
    requireTLS: security === 'starttls',
    ignoreTLS: security === 'none',
    ...(authority !== undefined && { tls: { ca: authority } }),
    ...(username !== undefined && password && { auth: { user: username, pass: password.reveal() } }),
    connectionTimeout: TIMEOUT_MS,
    socketTimeout: TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const { id, type, tenant, summary } = notification;
  try {
    await transport.sendMail({
      from,
      to: [...to],
      subject: lineText(`[Muster, ${tenant}] ${NOTIFICATION_TYPES[type].title}`, 200),
      text: textOf(summary, notification),
      messageId: `<${id}@muster>`,
      headers: { 'Auto-Submitted': 'auto-generated' },
    });
  } catch (cause) {
    throw new DeliveryError(`the mail relay ${host} did not take the message`, { cause });
  } finally {
    transport.close();
  }
}

function textOf(summary: string, { details, at, id }: Notification): string {
  const lines = Object.entries(details).map(([name, value]) => `${name}: ${lineText(String(value))}`);
  return [lineText(summary), '', ...lines, '', `at ${at}`, `event ${id}`, ''].join('\n');
}
