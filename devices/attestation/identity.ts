import type { Identifiers } from './verifier.ts';

/** From the identifiers that a key in hardware stands behind to those that are but names. */
const BY_STRENGTH = ['ek-sha256', 'idevid-sha256', 'permanent-identifier', 'hardware-module', 'serial-number'] as const;

/**
 * What a device is recognised by: `kind:value` of its strongest identifier. A serial number goes with its manufacturer, as
 * two may count alike.
 */
export function identityOf(identifiers: Identifiers): string | undefined {
  for (const kind of BY_STRENGTH) {
    const value = identifiers[kind];
    if (value === undefined) continue;
    return kind === 'serial-number' ? `${kind}:${identifiers.manufacturer ?? ''}/${value}` : `${kind}:${value}`;
  }
  return undefined;
}
