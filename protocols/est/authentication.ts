import { type MusterError, PeerError, PolicyError } from '../../core/errors/muster-error.ts';
import type { CredentialVerifier } from '../../core/enrollment/credentials.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import type { Fact } from '../../core/enrollment/facts.ts';
import { parseBasicCredentials } from './basic-credentials.ts';
import type { EnrollmentOperation } from './operation.ts';

/** The checks EST needs: its certificates come by TLS, its passwords by HTTP Basic. */
export type EstCredentials = Pick<CredentialVerifier, 'tlsCertificate' | 'password'>;

/** What a device presented, none of it verified. */
export interface PresentedCredentials {
  /** The Authorization header. */
  readonly authorization: string | undefined;
  /** Of the TLS client certificate, leaf first, DER; empty without one. */
  readonly certificateChain: readonly Uint8Array[];
  readonly sourceAddress: string;
}

/**
 * Turns what was presented into facts (RFC 7030 §3.2.3, §3.3.2). Each credential stands for itself: a factory
 * certificate that means nothing here does not spoil a good password, nor a spent password a good certificate. A request
 * is refused for a credential where no other one is good.
 *
 * A renewal is the certificate's own affair (RFC 7030 §4.2.2): no password is looked at.
 *
 * @throws PeerError `authentication-required`; PolicyError of the credential at fault
 */
export async function authenticate(
  verifier: EstCredentials,
  endpoint: Endpoint,
  operation: EnrollmentOperation,
  presented: PresentedCredentials,
): Promise<readonly [Fact, ...Fact[]]> {
  const isRenewal = operation === 'simplereenroll';
  if (isRenewal && presented.certificateChain.length === 0) {
    throw new PolicyError(
      'not-authorized',
      'simplereenroll: expected the certificate to renew as TLS client certificate',
    );
  }
  const password = isRenewal ? undefined : await attempt(() => verifyPassword(verifier, endpoint, presented));
  const certificate = await attempt(() => verifyCertificate(verifier, endpoint, presented));
  const [first, ...others] = [certificate, password].flatMap((result) => (result?.fact ? [result.fact] : []));
  if (first !== undefined) return [first, ...others];
  throw password?.refusal ?? certificate?.refusal ?? nothingPresented(endpoint);
}

interface Attempt {
  readonly fact?: Fact | undefined;
  readonly refusal?: MusterError;
}

/** A refusal of the credential is a result; that it could not be checked is not. */
async function attempt(verify: () => Promise<Fact | undefined>): Promise<Attempt> {
  try {
    return { fact: await verify() };
  } catch (error) {
    if (error instanceof PolicyError) return { refusal: error };
    throw error;
  }
}

async function verifyPassword(
  verifier: EstCredentials,
  endpoint: Endpoint,
  { authorization, sourceAddress }: PresentedCredentials,
): Promise<Fact | undefined> {
  if (!takesPasswords(endpoint)) return undefined;
  const basic = parseBasicCredentials(authorization);
  if (basic === undefined) return undefined;
  return verifier.password(endpoint, 'est', basic.username, basic.password, sourceAddress);
}

async function verifyCertificate(
  verifier: EstCredentials,
  endpoint: Endpoint,
  { certificateChain }: PresentedCredentials,
): Promise<Fact | undefined> {
  return certificateChain.length === 0 ? undefined : verifier.tlsCertificate(endpoint, certificateChain);
}

function nothingPresented(endpoint: Endpoint): MusterError {
  return takesPasswords(endpoint)
    ? new PeerError('authentication-required', 'expected a client certificate or a password, found neither')
    : new PolicyError('not-authorized', 'expected a client certificate, found none');
}

/** Whether HTTP authentication is of use at an endpoint: only then is it asked for (RFC 7030 §3.2.3). */
function takesPasswords(endpoint: Endpoint): boolean {
  return endpoint.protocols.est?.authenticators.includes('password') ?? false;
}
