import { createHmac } from 'node:crypto';
import { DeliveryError } from './delivery-error.ts';
import type { Secret } from '../../core/keys/secret.ts';
import { targetUrl } from './channel-settings.ts';
import type { Notification } from './notification.ts';

const TIMEOUT_MS = 10_000;

/**
 * Tells a webhook: a POST of JSON (`version` 1), with the event's id in `muster-event-id`, and in `muster-signature` the time and the
 * HMAC-SHA-256 of `time.body` under the channel's key: `t=EPOCH-SECONDS,v1=HEX`. Any 2xx is taken for received.
 * @throws DeliveryError for anything else
 */
export async function tellWebhook(url: string, key: Secret, notification: Notification, now: number): Promise<void> {
  const body = JSON.stringify({ version: 1, ...notification });
  const time = Math.floor(now / 1000);
  const mac = createHmac('sha256', key.reveal()).update(`${time}.${body}`).digest('hex');
  await post(url, body, { 'muster-event-id': notification.id, 'muster-signature': `t=${time},v1=${mac}` });
}

/** Tells a Slack-compatible service: `{"text": …}` to the URL that is its own credential. */
export async function tellSlack(url: Secret, { summary, tenant, id }: Notification): Promise<void> {
  // &, < and > are how Slack writes links and mentions.
  const text = summary.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  await post(url.reveal(), JSON.stringify({ text: `[Muster, ${tenant}] ${text}` }), { 'muster-event-id': id });
}

async function post(target: string, body: string, headers: Readonly<Record<string, string>>): Promise<void> {
  const url = targetUrl(target);
  let response: Response;
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const all = { 'content-type': 'application/json', ...headers };
    response = await fetch(url, { method: 'POST', headers: all, body, redirect: 'error', signal });
    await response.body?.cancel();
  } catch (cause) {
    throw new DeliveryError(`${url.host} did not answer`, { cause });
  }
  if (response.ok) return;
  throw new DeliveryError(`${url.host} answered with status ${response.status}`);
}
