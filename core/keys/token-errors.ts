import { InternalError, type MusterError, PolicyError, UpstreamError } from '../errors/muster-error.ts';
import { TokenFault } from './pkcs11/token-fault.ts';

/** When asking again makes sense, unless more is known. */
const RETRY_AFTER_SECONDS = 2;

/** The token is gone, hung, or being reconnected. */
export function hsmUnavailable(cause?: unknown, retryAfterSeconds = RETRY_AFTER_SECONDS): UpstreamError {
  return new UpstreamError('hsm-unavailable', 'the signing service does not answer', { cause, retryAfterSeconds });
}

/** The token refused its PIN: nothing is tried again until an operator acts. */
export function hsmPinRefused(cause?: unknown): UpstreamError {
  return new UpstreamError('hsm-pin-refused', 'the signing service is locked', { cause });
}

/** More waits for the token than it can do in time. */
export function hsmOverloaded(message: string, retryAfterSeconds = RETRY_AFTER_SECONDS): UpstreamError {
  return new UpstreamError('overloaded', message, { retryAfterSeconds });
}

/** What a failure inside the token is to those outside core/keys. */
export function translateFault(thrown: unknown): MusterError {
  const fault = TokenFault.from(thrown);
  switch (fault.kind) {
    case 'lost':
    case 'failed':
      return hsmUnavailable(fault);
    case 'pin-refused':
      return hsmPinRefused(fault);
    case 'unsupported':
      return new PolicyError('key-not-allowed', 'the token does not offer this kind of key or operation', {
        cause: fault,
      });
    case 'bad-data':
      return new InternalError('the token refused the data of an operation', { cause: fault });
    case 'missing-key':
    case 'insecure-key':
      return new InternalError(fault.message, { cause: fault });
  }
}
