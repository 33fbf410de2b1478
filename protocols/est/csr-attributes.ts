import { encode } from '../../core/asn1/codec.ts';
import {
  any,
  bitString,
  choice,
  implicit,
  type Infer,
  integer,
  oid,
  optional,
  sequence,
  sequenceOf,
  setOf,
  smallInteger,
} from '../../core/asn1/schema.ts';
import { keyAlgorithmIdentifier, keyKinds } from '../../core/authority/key-kinds.ts';
import type { KeyRules } from '../../core/authority/profile.ts';
import { algorithmIdentifierSchema } from '../../core/cms/algorithm-identifier.ts';
import type { EstSettings } from '../../core/enrollment/endpoint.ts';
import { extensionRequestAttribute, type RequestAttribute } from '../../core/x509/certification-request.ts';
import type { Extension } from '../../core/x509/extensions.ts';
import { REQUEST_ATTRIBUTE } from '../../core/x509/oids.ts';
import type { PublicKeyAlgorithm } from '../../core/x509/public-key.ts';
import { signatureOid } from './key-choice.ts';

/** RFC 9908 §3.4. */
const ID_AA_CERTIFICATION_REQUEST_INFO_TEMPLATE = '1.2.840.113549.1.9.16.2.61';

/** What a request should look like besides its key: what the profile will put into the certificate anyway. */
export interface RequestTemplate {
  /** Types (dotted OIDs) of the attributes the subject must have; their values are the device's. */
  readonly subjectAttributes: readonly string[];
  /** Extensions with the values they will have. */
  readonly extensions: readonly Extension[];
}

// RFC 7030 §4.5.2: CsrAttrs ::= SEQUENCE SIZE (0..MAX) OF AttrOrOID; RFC 9908 §3.2 lets the values be none.
const attribute = sequence('Attribute', { type: oid, values: setOf(any) });
const csrAttrs = sequenceOf(choice('AttrOrOID', { oid, attribute }));

// RFC 9908 §3.4 and appendix A (IMPLICIT TAGS): NameTemplate and SubjectPublicKeyInfoTemplate are their X.509 types with
// the values left out that the client is to fill in.
const nameTemplate = sequenceOf(
  setOf(sequence('SingleAttributeTemplate', { type: oid, value: optional(any) }), { min: 1 }),
);
const subjectPublicKeyInfoTemplate = sequence('SubjectPublicKeyInfoTemplate', {
  algorithm: algorithmIdentifierSchema,
  subjectPublicKey: optional(bitString),
});
const certificationRequestInfoTemplate = sequence('CertificationRequestInfoTemplate', {
  version: smallInteger,
  subject: optional(nameTemplate),
  subjectPKInfo: optional(implicit(0, subjectPublicKeyInfoTemplate)),
  attributes: implicit(1, setOf(attribute)),
});
const rsaPublicKey = sequence('RSAPublicKey', { modulus: integer, publicExponent: integer });

/** What an endpoint wants csrattrs to say. */
interface CsrAttributeSettings extends Pick<EstSettings, 'csrAttributes' | 'channelBinding'> {
  /** Whether a request should carry attestation evidence. */
  readonly asksForEvidence: boolean;
}

type AttrOrOid =
  | { readonly kind: 'oid'; readonly value: string }
  | { readonly kind: 'attribute'; readonly value: RequestAttribute };

/**
 * CsrAttrs in DER, or undefined where this endpoint asks for nothing. The template form stands beside the plain one:
 * RFC 9908 §4 has clients that know it ignore the rest.
 */
export function encodeCsrAttributes(
  settings: CsrAttributeSettings,
  keys: KeyRules,
  template: RequestTemplate,
): Uint8Array | undefined {
  if (settings.csrAttributes === 'none') return undefined;
  const attributes = requestAttributes(settings, template);
  const [key] = keyKinds(keys);
  const plain = [...attributes, ...(key ? keyAttributes(key) : [])];
  if (settings.csrAttributes === 'attributes') return plain.length === 0 ? undefined : encode(csrAttrs, plain);
  const value = encodeTemplate(key, attributes, template);
  const inTemplate = { type: ID_AA_CERTIFICATION_REQUEST_INFO_TEMPLATE, values: [value] };
  return encode(csrAttrs, [...plain, { kind: 'attribute', value: inTemplate }]);
}

/**
 * RFC 7030 §4.5.2: challengePassword where linking is required; RFC 9908 §3.2: one extensionRequest with its values. Evidence is
 * asked for by its attribute.
 */
function requestAttributes(
  settings: Pick<CsrAttributeSettings, 'channelBinding' | 'asksForEvidence'>,
  { extensions }: RequestTemplate,
): AttrOrOid[] {
  const attributes: AttrOrOid[] = [];
  if (settings.channelBinding === 'required')
    attributes.push({ kind: 'oid', value: REQUEST_ATTRIBUTE.challengePassword });
  if (settings.asksForEvidence) attributes.push({ kind: 'oid', value: REQUEST_ATTRIBUTE.attestation });
  if (extensions.length > 0) {
    attributes.push({ kind: 'attribute', value: extensionRequestAttribute(extensions) });
  }
  return attributes;
}

/** RFC 9908 §3.2: exactly one attribute names the type of key, its value the curve or the size; the signature's OID besides. */
function keyAttributes(key: PublicKeyAlgorithm): AttrOrOid[] {
  const { algorithm, parameters } = keyAlgorithmIdentifier(key);
  const size = key.kind === 'rsa' ? encode(smallInteger, key.bits) : parameters;
  return [
    { kind: 'attribute', value: { type: algorithm, values: size === undefined ? [] : [size] } },
    { kind: 'oid', value: signatureOid(key) },
  ];
}

function encodeTemplate(
  key: PublicKeyAlgorithm | undefined,
  attributes: readonly AttrOrOid[],
  { subjectAttributes }: RequestTemplate,
): Uint8Array {
  return encode(certificationRequestInfoTemplate, {
    version: 0,
    // RFC 9908 §3.4: absent where the server has no requirements on it.
    subject: subjectAttributes.length === 0 ? undefined : subjectAttributes.map((type) => [{ type }]),
    subjectPKInfo: key && keyTemplate(key),
    attributes: attributes.map((entry) => (entry.kind === 'oid' ? { type: entry.value, values: [] } : entry.value)),
  });
}

/** RFC 9908 §3.4: the size of an RSA key is told by a placeholder of that size; of any other key the algorithm says all. */
function keyTemplate(key: PublicKeyAlgorithm): Infer<typeof subjectPublicKeyInfoTemplate> {
  const algorithm = keyAlgorithmIdentifier(key);
  if (key.kind !== 'rsa') return { algorithm };
  const modulus = 2n ** BigInt(key.bits) - 1n;
  const bytes = encode(rsaPublicKey, { modulus, publicExponent: BigInt(key.exponent) });
  return { algorithm, subjectPublicKey: { unusedBits: 0, bytes } };
}
