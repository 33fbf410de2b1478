import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { PeerError } from '../../core/errors/muster-error.ts';

/**
 * What a decoder of EST throws for an error it caught: a PeerError in place of the Asn1Error of a codec, naming the same
 * field; anything else passes unchanged, because it is not the device's fault.
 */
export function decodingFault(error: unknown, reason: 'bad-encoding' | 'malformed-request'): unknown {
  return error instanceof Asn1Error ? new PeerError(reason, error.message, { cause: error }) : error;
}
