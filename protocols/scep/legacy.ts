import type { ScepSettings } from '../../core/enrollment/scep-settings.ts';
import type { Call, OpenEndpoint } from './exchange.ts';

/** A broken algorithm that a device used, and whether it was let. */
export interface LegacyUse {
  readonly algorithm: 'md5' | 'des';
  readonly accepted: boolean;
  readonly endpoint: string;
  readonly requestId: string;
  readonly sourceAddress: string;
}

/** Told of each message that rests on MD5 or single DES: a downgrade by somebody in the middle looks like that (V23). */
export interface ScepObserver {
  legacyUsed(use: LegacyUse): void;
}

/** Whether an endpoint accepts MD5 and single DES at this time (epoch milliseconds). */
export function acceptsLegacy({ legacy }: ScepSettings, now: number): boolean {
  return legacy !== 'off' && now < Date.parse(legacy.until);
}

/** One use, for the observer. */
export function legacyUse(
  algorithm: LegacyUse['algorithm'],
  accepted: boolean,
  { endpoint }: OpenEndpoint,
  { requestId, sourceAddress }: Call,
): LegacyUse {
  return { algorithm, accepted, endpoint: endpoint.label, requestId, sourceAddress };
}
