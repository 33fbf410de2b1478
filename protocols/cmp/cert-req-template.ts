import { keyAlgorithmIdentifier, keyKinds } from '../../core/authority/key-kinds.ts';
import { encode } from '../../core/asn1/codec.ts';
import { any, optional, sequence, smallInteger } from '../../core/asn1/schema.ts';
import type { KeyRules, Profile } from '../../core/authority/profile.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { ATTRIBUTE_TYPE } from '../../core/x509/oids.ts';
import { encodeName } from '../../core/x509/name.ts';
import { algorithmIdentifierSchema } from '../../core/cms/algorithm-identifier.ts';
import { certTemplate, controls } from './cert-template.ts';
import { CONTROL } from './oids.ts';

// RFC 9810 §5.3.19.16
const certReqTemplateContent = sequence('CertReqTemplateContent', {
  certTemplate: any,
  keySpec: optional(controls),
});

/**
 * CertReqTemplateValue: what a request to this endpoint should hold, from its profile (RFC 9483 §4.3.3). Empty values are
 * the device's to fill in; extensions have the values that every certificate gets.
 */
export function encodeCertReqTemplate(profile: Profile, keys: KeyRules): Uint8Array {
  const { extendedKeyUsage, subject } = profile;
  const template = encode(certTemplate, {
    subject: encodeName(
      (subject.attributes === 'any' ? [ATTRIBUTE_TYPE.commonName] : subject.attributes).map((type) => [
        { type, value: { kind: 'utf8String', value: '' } },
      ]),
    ),
    extensions: extendedKeyUsage.length > 0 ? [EXTENSIONS.extendedKeyUsage.encode(extendedKeyUsage)] : undefined,
  });
  const keySpec = keySpecOf(keys);
  return encode(certReqTemplateContent, {
    certTemplate: template,
    keySpec: keySpec.length === 0 ? undefined : keySpec,
  });
}

/** RFC 9810 §5.3.19.16: id-regCtrl-algId for each kind of key but RSA, whose length id-regCtrl-rsaKeyLen says. */
function keySpecOf(keys: KeyRules): { readonly type: string; readonly value: Uint8Array }[] {
  return keyKinds(keys).map((key) =>
    key.kind === 'rsa'
      ? { type: CONTROL.rsaKeyLen, value: encode(smallInteger, key.bits) }
      : { type: CONTROL.algId, value: encode(algorithmIdentifierSchema, keyAlgorithmIdentifier(key)) },
  );
}
