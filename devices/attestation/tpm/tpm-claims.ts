import { manufacturerName, type TpmIdentity } from './tpm-identity.ts';

/**
 * What is said of the chip, as claims: it is not the device, whose manufacturer and model a manifest knows. Empty where no
 * certificate told.
 */
export function tpmClaims(identity: TpmIdentity | undefined): Readonly<Record<string, string>> {
  if (identity === undefined) return {};
  const { manufacturer, model, version } = identity;
  return {
    'tpm-manufacturer': manufacturer,
    'tpm-vendor': manufacturerName(manufacturer),
    'tpm-model': model,
    'tpm-version': version,
  };
}
