import { PeerError } from '../../core/errors/muster-error.ts';
import type { ChannelRow } from './tables.ts';

/** Where a webhook or a Slack-compatible service is told; the key or the URL itself is the channel's secret. */
interface WebhookSettings {
  readonly url: string;
}

/** How mail is handed over. */
interface EmailSettings {
  readonly host: string;
  readonly port: number;
  /** `starttls` refuses to go on without; `none` is for a relay on this host. */
  readonly security: 'tls' | 'starttls' | 'none';
  readonly username?: string;
  readonly from: string;
  readonly to: readonly string[];
  /** PEM of who signs the relay's certificate; absent: those this host trusts. */
  readonly authority?: string;
}

/** A syslog receiver over TLS (RFC 5425). */
interface SyslogSettings {
  readonly host: string;
  readonly port: number;
  /** `cef`: the message is a line of Common Event Format. */
  readonly format: 'rfc5424' | 'cef';
  readonly authority?: string;
}

/** A channel, by its kind. */
export type Channel = Pick<ChannelRow, 'tenant' | 'id' | 'name' | 'sealed'> &
  (
    | { readonly kind: 'webhook'; readonly settings: WebhookSettings }
    | { readonly kind: 'slack'; readonly settings: Record<string, never> }
    | { readonly kind: 'email'; readonly settings: EmailSettings }
    | { readonly kind: 'syslog'; readonly settings: SyslogSettings }
  );

/** A stored channel; its settings came in by the schema of its kind. */
export function channelOf({ tenant, id, name, kind, settings, sealed }: ChannelRow): Channel {
  return { tenant, id, name, sealed, kind, settings: JSON.parse(settings) as unknown } as Channel;
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** @throws PeerError `malformed-request` for a URL that is neither https nor loopback, or that holds a user name */
export function targetUrl(text: string): URL {
  const url = URL.parse(text);
  const isAllowed = url?.protocol === 'https:' || (url?.protocol === 'http:' && LOOPBACK.test(url.hostname));
  if (url && isAllowed && url.username === '' && url.password === '' && url.hash === '') return url;
  throw new PeerError('malformed-request', 'url: expected https, or http to a loopback address, without user name');
}
