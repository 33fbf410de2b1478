import { timingSafeEqual } from 'node:crypto';

import { encode } from '../../core/asn1/codec.ts';
import type { ProofOfPossession } from '../../core/enrollment/request.ts';
import { algorithmIdentifierSchema } from '../../core/cms/algorithm-identifier.ts';
import { generalNameKey } from '../../core/x509/general-name.ts';
import { octetsEqual } from '../../core/x509/octets.ts';
import type { SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import { SEQUENCE, underIdentifier } from './context-sequence.ts';
import { type CertReqMsg, type PoposkProof, SUBSEQUENT_MESSAGE } from './crmf.ts';
import type { DerivationThread } from './derivation-thread.ts';
import { CmpFault } from './errors.ts';
import type { Exchange } from './exchange.ts';
import { computeMac } from './mac-function.ts';
import { macSchemeOf } from './mac-scheme.ts';
import { fitsKey, messageSignatureOf, verifyMessageSignature } from './message-signature.ts';

/**
 * Judges the proof of possession of a key in a template (RFC 4211 §4, RFC 9810 §5.2.8).
 *
 * @throws CmpFault `badPOP`, `badAlg`, `notAuthorized`
 */
export async function provePossession(
  derivation: Pick<DerivationThread, 'derive'>,
  exchange: Exchange,
  { certReq, popo }: CertReqMsg,
  publicKey: SubjectPublicKeyInfo,
): Promise<ProofOfPossession> {
  if (popo === undefined) throw badPop('expected a proof of possession, found none');
  switch (popo.kind) {
    case 'raVerified':
      // Whether the sender may vouch is the hall's to decide: a registration authority's certificate alone does.
      return 'registration-authority';
    case 'signature':
      await verifyPoposk(derivation, exchange, popo.value, certReq, publicKey);
      return 'signature';
    case 'keyEncipherment':
    case 'keyAgreement':
      return indirect(exchange, popo, publicKey);
  }
}

/** RFC 9810 §5.2.8.3.2: the certificate goes out encrypted, and who confirms it could decrypt it. */
function indirect(
  { settings }: Exchange,
  { kind, value }: Extract<NonNullable<CertReqMsg['popo']>, { readonly kind: 'keyEncipherment' | 'keyAgreement' }>,
  publicKey: SubjectPublicKeyInfo,
): ProofOfPossession {
  if (value.kind !== 'subsequentMessage' || value.value !== SUBSEQUENT_MESSAGE.encrCert) {
    throw badPop('expected subsequentMessage encrCert for a key that does not sign');
  }
  // RFC 4211 §4.2, §4.3: RSA enciphers, EC agrees.
  if (publicKey.algorithm.kind !== (kind === 'keyEncipherment' ? 'rsa' : 'ec')) {
    throw badPop(`a key of kind ${publicKey.algorithm.kind} proves nothing by ${kind}`);
  }
  if (!settings.indirectProof) throw badPop('proof by an encrypted certificate is not taken here');
  return 'indirect';
}

async function verifyPoposk(
  derivation: Pick<DerivationThread, 'derive'>,
  exchange: Exchange,
  { poposkInput, algorithmIdentifier, signature }: PoposkProof,
  certReq: CertReqMsg['certReq'],
  publicKey: SubjectPublicKeyInfo,
): Promise<void> {
  const isNamed = certReq.value.certTemplate.value.subject !== undefined;
  // RFC 4211 §4.1: poposkInput MUST be omitted where the template has subject and publicKey, and present where it lacks one.
  if (poposkInput !== undefined && isNamed) {
    throw badPop('expected no poposkInput beside a template with subject and publicKey');
  }
  if (poposkInput === undefined && !isNamed && exchange.settings.conformance === 'lightweight') {
    throw badPop('expected poposkInput beside a template without subject');
  }
  if (poposkInput !== undefined) await checkInput(derivation, exchange, poposkInput.value, publicKey);
  const made = messageSignatureOf(algorithmIdentifier, 'popo');
  if (signature.unusedBits !== 0 || !fitsKey(made, publicKey)) {
    throw badPop('expected a signature by the key in the template');
  }
  const signed = poposkInput === undefined ? certReq.der : underIdentifier(poposkInput.der, SEQUENCE);
  if (!(await verifyMessageSignature(publicKey, made, signed, signature.bytes))) {
    throw badPop('the signature does not verify with the public key in the template');
  }
}

type PoposkInput = NonNullable<PoposkProof['poposkInput']>['value'];

/** RFC 4211 §4.1: the key once more, and who asks: the sender, or a MAC under the secret he shares with us. */
async function checkInput(
  derivation: Pick<DerivationThread, 'derive'>,
  { message, sender, settings }: Exchange,
  { authInfo, publicKey: repeated }: PoposkInput,
  publicKey: SubjectPublicKeyInfo,
): Promise<void> {
  if (!octetsEqual(repeated, publicKey.der)) throw badPop('poposkInput: expected the public key of the template');
  if (authInfo.kind === 'sender') {
    if (generalNameKey(authInfo.value) === generalNameKey(message.header.sender)) return;
    throw badPop('poposkInput: expected the sender of the message');
  }
  if (sender.kind !== 'mac') throw badPop('poposkInput: publicKeyMAC needs a shared secret');
  const { algId, value } = authInfo.value;
  const scheme = macSchemeOf(algId, encode(algorithmIdentifierSchema, algId), settings);
  if (scheme === undefined || scheme.derivation.kind === 'none') {
    throw badPop('poposkInput: expected a password-based MAC');
  }
  const secret = Buffer.from(sender.credential.secret.reveal(), 'utf8');
  const key = await derivation.derive(scheme.derivation, secret, sender.credential.reference);
  const expected = computeMac(scheme.mac, key, publicKey.der);
  if (expected.length !== value.bytes.length || !timingSafeEqual(expected, value.bytes)) {
    throw badPop('poposkInput: publicKeyMAC does not verify');
  }
}

function badPop(message: string): CmpFault {
  return new CmpFault('badPOP', `popo: ${message}`, 'bad-signature');
}
