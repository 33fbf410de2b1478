import { timingSafeEqual } from 'node:crypto';

import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { PeerError } from '../../core/errors/muster-error.ts';
import type { CmpSettings } from '../../core/enrollment/cmp-settings.ts';
import type { CredentialVerifier, MacCredential } from '../../core/enrollment/credentials.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import { commonNames } from '../../core/x509/name.ts';
import type { DerivationThread } from './derivation-thread.ts';
import { CmpFault } from './errors.ts';
import { checkMacSender } from './header-rules.ts';
import { computeMac } from './mac-function.ts';
import { defaultMacScheme, type MacScheme, macSchemeOf } from './mac-scheme.ts';
import type { PkiHeader } from './pki-header.ts';
import type { PkiMessage } from './pki-message.ts';
import type { AnswerProtection, Sender } from './sender.ts';
import { verifySigner } from './signature-protection.ts';

/** Where a message came from, and to whom. */
export interface Arrival {
  readonly endpoint: Endpoint;
  readonly settings: CmpSettings;
  readonly sourceAddress: string;
}

/** What came of a message's protection: a sender, or a refusal and how that one is protected. */
export type Authentication =
  | { readonly sender: Sender }
  | { readonly refusal: unknown; readonly protection: AnswerProtection };

/** What verifies protections. */
export interface Verifiers {
  readonly credentials: Pick<CredentialVerifier, 'macCredential' | 'signer'>;
  readonly derivation: Pick<DerivationThread, 'derive'>;
}

/** Longest reference: ours are short, and what nobody could have been given is not looked for. */
const MAX_REFERENCE_OCTETS = 128;

/**
 * Verifies the protection of a message (RFC 9810 §5.1.3). What is refused is answered with the same kind of protection where
 * the credential is known. Never rejects: what could not be checked is a refusal, too.
 */
export async function authenticate(
  verifiers: Verifiers,
  arrival: Arrival,
  message: PkiMessage,
): Promise<Authentication> {
  const { protectionAlg } = message.header;
  if (protectionAlg === undefined || message.protection === undefined) {
    const refusal = new CmpFault(
      'badMessageCheck',
      'protection: expected one and protectionAlg, found one of them or none',
    );
    return { refusal, protection: { kind: 'none' } };
  }
  let scheme: MacScheme | undefined;
  try {
    scheme = macSchemeOf(protectionAlg.value, protectionAlg.der, arrival.settings);
  } catch (error) {
    return refuseMac(verifiers, arrival, message.header, asPeerError(error));
  }
  return scheme === undefined
    ? authenticateSignature(verifiers, arrival, message)
    : authenticateMac(verifiers, arrival, message, scheme);
}

async function authenticateSignature(
  { credentials }: Verifiers,
  { endpoint, settings }: Arrival,
  message: PkiMessage,
): Promise<Authentication> {
  const protection = { kind: 'signature' } as const;
  try {
    const fact = await verifySigner(credentials, endpoint, message, settings.conformance === 'lightweight');
    return { sender: { kind: 'signature', fact, protection } };
  } catch (error) {
    return { refusal: asPeerError(error), protection };
  }
}

async function authenticateMac(
  verifiers: Verifiers,
  arrival: Arrival,
  { header, protection: received = new Uint8Array(), protectedPart }: PkiMessage,
  scheme: MacScheme,
): Promise<Authentication> {
  let protection: AnswerProtection = { kind: 'none' };
  try {
    const found = await findCredential(verifiers, arrival, header);
    const key = await keyOf(verifiers, scheme, found.credential);
    protection = { kind: 'mac', reference: found.reference, scheme, key };
    if (arrival.settings.conformance === 'lightweight') checkMacSender(header);
    if (!equalOctets(computeMac(scheme.mac, key, protectedPart), received)) {
      await found.credential.failed();
      throw new CmpFault('badMessageCheck', 'the protection of the message is not valid here');
    }
    return { sender: { kind: 'mac', fact: found.credential.fact(), credential: found.credential, protection } };
  } catch (error) {
    return { refusal: asPeerError(error), protection };
  }
}

/** A MAC whose figures are out of bounds is not computed: the refusal comes under a scheme of our own. */
async function refuseMac(
  verifiers: Verifiers,
  arrival: Arrival,
  header: PkiHeader,
  refusal: unknown,
): Promise<Authentication> {
  try {
    const { credential, reference } = await findCredential(verifiers, arrival, header);
    const scheme = defaultMacScheme();
    return { refusal, protection: { kind: 'mac', reference, scheme, key: await keyOf(verifiers, scheme, credential) } };
  } catch {
    return { refusal, protection: { kind: 'none' } }; // the first fault is the one to tell of
  }
}

async function findCredential(
  { credentials }: Verifiers,
  { endpoint, settings, sourceAddress }: Arrival,
  header: PkiHeader,
): Promise<{ readonly credential: MacCredential; readonly reference: Uint8Array }> {
  const reference = referenceOf(header, settings.conformance === 'tolerant');
  const credential =
    reference.length > MAX_REFERENCE_OCTETS
      ? undefined
      : await credentials.macCredential(endpoint, 'cmp', reference, sourceAddress);
  if (credential !== undefined) return { credential, reference };
  throw new CmpFault('badMessageCheck', 'the protection of the message is not valid here');
}

/** C12: senderKID names the secret; where it is absent, some put the reference into the sender's commonName alone. */
function referenceOf({ sender, senderKID }: PkiHeader, fromSender: boolean): Uint8Array {
  if (senderKID !== undefined) return senderKID;
  const [name] = fromSender && sender.kind === 'directoryName' ? commonNames(sender.value) : [];
  if (name !== undefined) return Buffer.from(name, 'utf8');
  throw new CmpFault('badMessageCheck', 'senderKID: expected the reference of a secret, found none');
}

async function keyOf({ derivation }: Verifiers, scheme: MacScheme, credential: MacCredential): Promise<Uint8Array> {
  const secret = Buffer.from(credential.secret.reveal(), 'utf8');
  if (scheme.derivation.kind !== 'none') return derivation.derive(scheme.derivation, secret, credential.reference);
  if (scheme.mac.kind === 'gmac' && scheme.mac.keyOctets !== secret.length) {
    throw new CmpFault('badAlg', `AES-GMAC: the secret is no key of ${scheme.mac.keyOctets} octets`, 'bad-algorithm');
  }
  return secret;
}

function equalOctets(expected: Uint8Array, found: Uint8Array): boolean {
  return expected.length === found.length && timingSafeEqual(expected, found);
}

/** What the codec refuses inside an AlgorithmIdentifier or a certificate, in the words of errors.ts. */
function asPeerError(error: unknown): unknown {
  if (!(error instanceof Asn1Error)) return error;
  return new PeerError('malformed-request', error.message, { cause: error });
}
