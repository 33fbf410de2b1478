import { SCEP_CAPABILITIES, type ScepCapability, type ScepSettings } from '../../core/enrollment/scep-settings.ts';

/**
 * The body of GetCACaps (RFC 8894 §3.5.2): one keyword a line, no blank line (S13), and only what works (SC-6). SHA-384 is
 * what strongSwan 5.9.8 takes for AES (S14).
 */
export function capabilityLines(settings: ScepSettings, hasSuccessor: boolean): string {
  return capabilities(settings, hasSuccessor)
    .map((capability) => `${capability}\n`)
    .join('');
}

function capabilities(
  { authenticators, withheldCapabilities }: ScepSettings,
  hasSuccessor: boolean,
): readonly ScepCapability[] {
  const absent = new Set<ScepCapability>(withheldCapabilities);
  if (!hasSuccessor) absent.add('GetNextCACert');
  if (!authenticators.includes('certificate')) absent.add('Renewal');
  return SCEP_CAPABILITIES.filter((capability) => !absent.has(capability));
}
