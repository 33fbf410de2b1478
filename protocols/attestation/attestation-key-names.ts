import type { Appraisal } from '../../core/enrollment/ports.ts';
import type { GeneralName } from '../../core/x509/general-name.ts';
import { encodeName } from '../../core/x509/name.ts';
import { permanentIdentifierOtherName } from '../../core/x509/other-name.ts';

/** Attributes of a TPM in a directoryName (TCG EK Credential Profile §3.2.9), dotted. */
const TPM_ATTRIBUTE = { manufacturer: '2.23.133.2.1', model: '2.23.133.2.2', version: '2.23.133.2.3' } as const;

/**
 * The names of an attestation key's certificate, whose subject is empty (WebAuthn §8.3.1, as ACME's verifiers ask for it): which
 * TPM it is by manufacturer, model and version, and by its endorsement key, in the form that smallstep's clients look for. What
 * the activation did not prove is left out.
 */
export function attestationKeyNames({
  identifiers,
  claims,
}: Pick<Appraisal, 'identifiers' | 'claims'>): readonly GeneralName[] {
  const attributes = [
    ...attribute(TPM_ATTRIBUTE.manufacturer, 'id:', claims['tpm-manufacturer']),
    ...attribute(TPM_ATTRIBUTE.model, '', claims['tpm-model']),
    ...attribute(TPM_ATTRIBUTE.version, 'id:', claims['tpm-version']),
  ];
  const directory = encodeName(attributes.map((one) => [one]));
  const names = endorsementKeyNames(identifiers['permanent-identifier']);
  return attributes.length === 0 ? names : [{ kind: 'directoryName', value: directory }, ...names];
}

/** `urn` is `urn:ek:sha256:` and the base64 of the SHA-256 of the endorsement key's SubjectPublicKeyInfo. */
function endorsementKeyNames(urn: string | undefined): readonly GeneralName[] {
  if (urn === undefined) return [];
  return [
    { kind: 'otherName', value: permanentIdentifierOtherName({ identifierValue: urn }) },
    { kind: 'uri', value: urn },
  ];
}

function attribute(type: string, prefix: string, value: string | number | boolean | undefined) {
  return typeof value === 'string'
    ? [{ type, value: { kind: 'utf8String', value: `${prefix}${value}` } } as const]
    : [];
}
