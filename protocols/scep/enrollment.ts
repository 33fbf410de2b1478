import type { CredentialVerifier } from '../../core/enrollment/credentials.ts';
import { deviceName } from '../../core/enrollment/accept.ts';
import { carriedEvidence } from '../../core/enrollment/carried-evidence.ts';
import type { Authenticator } from '../../core/enrollment/endpoint.ts';
import type { Fact, SignedByFact } from '../../core/enrollment/facts.ts';
import type { Hall } from '../../core/enrollment/hall.ts';
import type { Outcome } from '../../core/enrollment/outcome.ts';
import { PolicyError } from '../../core/errors/muster-error.ts';
import { Secret } from '../../core/keys/secret.ts';
import { type CertificationRequest, requestToKeep } from '../../core/x509/certification-request.ts';
import type { Exchange } from './exchange.ts';
import { requestedFields, requireSameKey, restoreRequest, transactionKey } from './transaction.ts';
import { MESSAGE_TYPE } from './vocabulary.ts';

/** What enrolling stands on. */
export interface EnrollmentDependencies {
  readonly credentials: Pick<CredentialVerifier, 'signer' | 'challenge'>;
  readonly hall: Pick<Hall, 'enroll' | 'poll'>;
}

const CHALLENGE_KINDS: readonly Authenticator[] = ['password', 'static-password', 'derived-password', 'webhook'];

/**
 * PKCSReq and RenewalReq (RFC 8894 §3.3.1) with a request whose signature verified. The hall recognises one that was asked
 * for before (§4.4, S41). Where it has no challenge any more it is answered like a poll, and where an external decider
 * would be asked, so that it is not asked twice.
 * @throws MusterError for all that the hall did not decide
 */
export async function enroll(
  dependencies: EnrollmentDependencies,
  exchange: Exchange,
  request: CertificationRequest,
  signer: SignerCheck,
): Promise<Outcome> {
  const { hall } = dependencies;
  const hasChallenge = challengeOf(request) !== undefined;
  const asksFirst = !hasChallenge || exchange.settings.authenticators.includes('webhook');
  const known = asksFirst ? await poll(dependencies, exchange) : undefined;
  // A rejection may have been overtaken by a change of policy: whoever has a credential is judged anew.
  const isJudgedAnew = hasChallenge || !exchange.message.isSelfMade;
  const outcome =
    known === undefined || (known.kind === 'rejected' && isJudgedAnew)
      ? await hall.enroll(await enrollmentRequest(dependencies, exchange, request, signer))
      : known;
  if (outcome.kind === 'issued') requireSameKey(outcome.certificate, request.publicKey);
  return outcome;
}

/** What has become of the enrolment that a message's transaction names; undefined where there is none. */
export function poll(
  { hall }: EnrollmentDependencies,
  { endpoint, call, message }: Exchange,
): Promise<Outcome | undefined> {
  return hall.poll({
    ...call,
    endpoint,
    protocol: 'scep',
    requestKey: transactionKey(message),
    facts: [],
    restore: restoreRequest,
  });
}

/** The challengePassword of a request; an empty one is none. */
export function challengeOf({ challengePassword }: CertificationRequest): Secret | undefined {
  return challengePassword === undefined || challengePassword === '' ? undefined : new Secret(challengePassword);
}

async function enrollmentRequest(
  dependencies: EnrollmentDependencies,
  exchange: Exchange,
  request: CertificationRequest,
  signer: SignerCheck,
): Promise<Parameters<Hall['enroll']>[0]> {
  const { endpoint, call, message } = exchange;
  const facts = await gatherFacts(dependencies, exchange, request, signer);
  const evidence = carriedEvidence(request);
  return {
    ...call,
    endpoint,
    protocol: 'scep',
    operation: isRenewal(exchange, facts) ? 'renew' : 'enroll',
    requestKey: transactionKey(message),
    ...requestedFields(request),
    // The hall keeps it for the operator: no password goes with it.
    der: requestToKeep(request),
    received: request.der,
    facts,
    ...(evidence && { evidence }),
  };
}

/** RenewalReq, and the PKCSReq of clients that renew with it (S40): V9, names are those of the old certificate. */
function isRenewal({ message }: Exchange, facts: readonly Fact[]): boolean {
  const [first, ...others] = facts;
  // RFC 8894 §3.3.1.2: the existing certificate may be another CA's; a manufacturer's asks for a first one here.
  if (first?.kind === 'signed-by' && first.identity !== undefined) return false;
  if (message.attributes.messageType === MESSAGE_TYPE.RenewalReq) return true;
  return first?.kind === 'signed-by' && first.origin === 'own' && others.length === 0;
}

/**
 * Each credential stands for itself: a certificate that means nothing here does not spoil a good challenge, nor a spent
 * challenge a good certificate. With none, the hall says what it asks for.
 * @throws PolicyError of the credential at fault, where no other one is good
 */
async function gatherFacts(
  { credentials }: EnrollmentDependencies,
  exchange: Exchange,
  request: CertificationRequest,
  signer: SignerCheck,
): Promise<readonly Fact[]> {
  const challenge = await attempt(() => checkChallenge(credentials, exchange, request));
  const facts: readonly Fact[] = [signer.fact, challenge.fact].filter((fact) => fact !== undefined);
  const refusal = challenge.refusal ?? signer.refusal;
  if (facts.length === 0 && refusal !== undefined) throw refusal;
  return facts;
}

async function checkChallenge(
  credentials: EnrollmentDependencies['credentials'],
  { endpoint, settings, message, call }: Exchange,
  request: CertificationRequest,
): Promise<Fact | undefined> {
  const challenge = challengeOf(request);
  // A renewal is the certificate's own affair.
  if (challenge === undefined || message.attributes.messageType === MESSAGE_TYPE.RenewalReq) return undefined;
  if (!settings.authenticators.some((kind) => CHALLENGE_KINDS.includes(kind))) return undefined;
  return credentials.challenge(endpoint, {
    protocol: 'scep',
    challenge,
    deviceName: deviceName(requestedFields(request)),
    request: request.der,
    transactionId: message.attributes.transactionId,
    sourceAddress: call.sourceAddress,
  });
}

/** What the certificate of a message's signer is worth here. */
export type SignerCheck = Attempt<SignedByFact>;

/** Judges the certificate that a message is signed with; one that the device made itself is worth nothing, and no fault. */
export async function checkSigner(
  { credentials }: EnrollmentDependencies,
  { endpoint, message }: Exchange,
): Promise<SignerCheck> {
  return message.isSelfMade ? {} : attempt(() => credentials.signer(endpoint, message.certificateChain));
}

interface Attempt<F> {
  readonly fact?: F | undefined;
  readonly refusal?: PolicyError;
}

/** A refusal of the credential is a result; that it could not be checked is not. */
async function attempt<F extends Fact>(verify: () => Promise<F | undefined>): Promise<Attempt<F>> {
  try {
    return { fact: await verify() };
  } catch (error) {
    if (error instanceof PolicyError) return { refusal: error };
    throw error;
  }
}
