import { timingSafeEqual } from 'node:crypto';

import { PeerError } from '../../core/errors/muster-error.ts';
import type { EstSettings } from '../../core/enrollment/endpoint.ts';

/** Octets of tls-unique (RFC 5929 §3: a Finished message of TLS 1.2) and of tls-exporter (RFC 9266 §3). */
const BINDING_OCTETS: ReadonlySet<number> = new Set([12, 32]);

/**
 * Proof-of-possession linking (RFC 7030 §3.5): the challengePassword of the request is the base64 of this connection's
 * channel binding.
 *
 * Where it is optional, a challengePassword that is not base64 of 12 or 32 octets is not a binding: devices put their
 * enrolment password there. Both lengths count under every TLS version: a relay that speaks another version to us than
 * to the device must not turn the device's binding into something to ignore.
 *
 * @param connectionBinding answers the channel binding of the connection the request came on
 * @throws PeerError `bad-channel-binding` for one of another connection, and where it is required for none at all
 */
export function checkChannelBinding(
  challengePassword: string | undefined,
  connectionBinding: () => Uint8Array,
  mode: EstSettings['channelBinding'],
): void {
  const claimed = decodeBinding(challengePassword);
  if (claimed === undefined) {
    if (mode === 'optional') return;
    const found = challengePassword === undefined ? 'none' : 'a challengePassword that is not one';
    throw new PeerError(
      'bad-channel-binding',
      `${EXPECTED} (linking identity and proof of possession), found ${found}`,
    );
  }
  const binding = connectionBinding();
  if (claimed.length !== binding.length || !timingSafeEqual(claimed, binding)) {
    throw new PeerError('bad-channel-binding', `${EXPECTED}, found that of another connection`);
  }
}

const EXPECTED = 'challengePassword: expected the channel binding of this TLS connection';

function decodeBinding(challengePassword: string | undefined): Uint8Array | undefined {
  if (challengePassword === undefined || !/^[A-Za-z0-9+/]{16,43}=?$/.test(challengePassword)) return undefined;
  const octets = Buffer.from(challengePassword, 'base64');
  const isBinding = BINDING_OCTETS.has(octets.length) && octets.toString('base64') === challengePassword;
  return isBinding ? octets : undefined;
}
