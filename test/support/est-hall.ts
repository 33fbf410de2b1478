import { accept, idempotencyKey } from '../../core/enrollment/accept.ts';
import { authenticatorsOf, type Endpoint } from '../../core/enrollment/endpoint.ts';
import { asVerified, type PasswordFact, type TlsCertificateFact } from '../../core/enrollment/facts.ts';
import type { Outcome } from '../../core/enrollment/outcome.ts';
import type { EnrollmentRequest } from '../../core/enrollment/request.ts';
import { MusterError, PolicyError } from '../../core/errors/muster-error.ts';
import type { Secret } from '../../core/keys/secret.ts';
import {
  assembleSigned,
  certificateFingerprint,
  encodeTbsCertificate,
  parseCertificate,
} from '../../core/x509/certificate.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { octetsEqual } from '../../core/x509/octets.ts';
import { KEY_PURPOSE } from '../../core/x509/oids.ts';
import { keyIdentifier } from '../../core/x509/public-key.ts';
import { parseSerialNumber } from '../../core/x509/serial-number.ts';
import { defaultSignatureAlgorithm, verifySignature } from '../../core/x509/signature-algorithm.ts';
import { signWith, type TestAuthority } from './test-pki.ts';
import type { EstCredentials } from '../../protocols/est/authentication.ts';

interface StoredPassword {
  readonly id: string;
  readonly usage: PasswordFact['usage'];
  readonly username: string | undefined;
  state: PasswordFact['state'];
  boundKey: string | undefined;
}

/** Verifies credentials as the product does, against what is in memory: two authorities, some passwords, a list of revoked certificates. */
export class InMemoryCredentials implements EstCredentials {
  /** Fingerprints of revoked certificates. */
  readonly revoked = new Set<string>();
  /** Calls of `tlsCertificate`, to see that status is looked up each time. */
  certificateChecks = 0;
  /** What every check throws, as long as it is set. */
  fault: MusterError | undefined;
  readonly #issuing: TestAuthority;
  readonly #factory: TestAuthority;
  readonly #passwords = new Map<string, StoredPassword>();

  constructor(issuing: TestAuthority, factory: TestAuthority) {
    this.#issuing = issuing;
    this.#factory = factory;
  }

  /** Makes a password known; a device password goes with its user name. */
  addPassword(text: string, username?: string): string {
    const usage = username === undefined ? 'one-time' : 'device';
    this.#passwords.set(text, {
      id: `secret-${this.#passwords.size}`,
      usage,
      username,
      state: 'free',
      boundKey: undefined,
    });
    return text;
  }

  /** Binds a one-time password to its first request. */
  bind(secretId: string, key: string): void {
    for (const stored of this.#passwords.values()) {
      if (stored.id === secretId) Object.assign(stored, { state: 'spent', boundKey: key });
    }
  }

  async password(_endpoint: Endpoint, _protocol: string, username: string, password: Secret): Promise<PasswordFact> {
    if (this.fault) throw this.fault;
    const found = this.#passwords.get(password.reveal());
    if (found === undefined || (found.username ?? username) !== username) {
      throw new PolicyError('bad-credential', 'the password is not valid');
    }
    const { id, usage, state, boundKey } = found;
    return asVerified<PasswordFact>({
      kind: 'password',
      secretId: id,
      usage,
      state,
      boundKey,
      subject: undefined,
      username,
    });
  }

  async tlsCertificate(endpoint: Endpoint, chain: readonly Uint8Array[]): Promise<TlsCertificateFact> {
    this.certificateChecks += 1;
    if (this.fault) throw this.fault;
    const certificate = parseCertificate(chain[0]!);
    const fingerprint = certificateFingerprint(certificate.der);
    const issuer = [this.#issuing, this.#factory].find(
      ({ certificate: { subject, publicKey } }) =>
        octetsEqual(subject.der, certificate.issuer.der) &&
        verifySignature(publicKey, certificate.signatureAlgorithm, certificate.tbsDer, certificate.signature),
    );
    if (issuer === undefined) throw new PolicyError('certificate-untrusted', 'the certificate leads to no anchor');
    if (certificate.notAfter < new Date()) throw new PolicyError('certificate-expired', 'the certificate has expired');
    if (this.revoked.has(fingerprint)) throw new PolicyError('certificate-revoked', 'the certificate is revoked');
    const isOwn = issuer === this.#issuing;
    const purposes = EXTENSIONS.extendedKeyUsage.find(certificate.extensions) ?? [];
    return asVerified<TlsCertificateFact>({
      kind: 'tls-certificate',
      certificate,
      fingerprint,
      origin: isOwn ? 'own' : 'client-anchor',
      certificateId: isOwn ? fingerprint : undefined,
      profile: isOwn ? endpoint.profile : undefined,
      deviceId: undefined,
      registrationAuthority:
        purposes.includes(KEY_PURPOSE.cmcRA) || endpoint.registrationAuthorities.includes(fingerprint),
    });
  }
}

/** A hall with the product's own rule of acceptance, a memory for repeats, manual approval, and an authority in memory. */
export class InMemoryHall {
  /** Every request that reached the hall. */
  readonly requests: EnrollmentRequest[] = [];
  /** What every enrolment throws, as long as it is set. */
  fault: Error | undefined;
  /** The credentials whose one-time passwords are bound here. */
  credentials: InMemoryCredentials | undefined;
  readonly #issuing: TestAuthority;
  readonly #issued = new Map<string, Uint8Array>();
  readonly #approved = new Set<string>();
  readonly #waiting = new Set<string>();

  constructor(issuing: TestAuthority) {
    this.#issuing = issuing;
  }

  /** Lets every enrolment pass that waits. */
  approveAll(): void {
    for (const key of this.#waiting) this.#approved.add(key);
    this.#waiting.clear();
  }

  async enroll(request: EnrollmentRequest): Promise<Outcome> {
    this.requests.push(request);
    if (this.fault) throw this.fault;
    try {
      return this.#decide(request);
    } catch (error) {
      if (!(error instanceof MusterError)) throw error;
      return { kind: 'rejected', enrollmentId: undefined, reason: error.reason, message: error.message };
    }
  }

  #decide(request: EnrollmentRequest): Outcome {
    const principal = accept(request, authenticatorsOf(request.endpoint, request.protocol), Date.now());
    const bound = idempotencyKey(request, principal);
    const key = `${request.endpoint.id}:${bound}`;
    const earlier = this.#issued.get(key);
    if (earlier && request.proofOfPossession !== 'server-generated') {
      return { kind: 'issued', enrollmentId: key, certificateId: key, certificate: earlier, replayed: true };
    }
    if (principal.secret?.usage === 'one-time') this.credentials?.bind(principal.secret.secretId, bound);
    if (request.endpoint.approval === 'manual' && !this.#approved.has(key)) {
      this.#waiting.add(key);
      return { kind: 'pending', enrollmentId: key, retryAfterSeconds: request.endpoint.retryAfterSeconds };
    }
    const certificate = this.#sign(request);
    this.#issued.set(key, certificate);
    return { kind: 'issued', enrollmentId: key, certificateId: key, certificate, replayed: false };
  }

  #sign({ subject, subjectAltName, publicKey }: EnrollmentRequest): Uint8Array {
    const issuer = this.#issuing.certificate;
    const signatureAlgorithm = defaultSignatureAlgorithm(issuer.publicKey.algorithm);
    const now = Date.now();
    const isRsa = publicKey.algorithm.kind === 'rsa';
    const tbs = encodeTbsCertificate({
      serialNumber: parseSerialNumber(`5a${(this.requests.length + 0x10000).toString(16).padStart(8, '0')}`),
      signatureAlgorithm,
      issuer: issuer.subject,
      validity: { notBefore: new Date(now - 60_000), notAfter: new Date(now + 86_400_000) },
      subject,
      publicKey,
      extensions: [
        EXTENSIONS.subjectKeyIdentifier.encode(keyIdentifier(publicKey)),
        EXTENSIONS.authorityKeyIdentifier.encode({ keyIdentifier: keyIdentifier(issuer.publicKey) }),
        EXTENSIONS.keyUsage.encode(new Set(isRsa ? ['digitalSignature', 'keyEncipherment'] : ['digitalSignature'])),
        ...(subjectAltName.length === 0 ? [] : [EXTENSIONS.subjectAltName.encode(subjectAltName)]),
      ],
    });
    return assembleSigned(tbs, signatureAlgorithm, signWith(this.#issuing.privateKey, signatureAlgorithm, tbs));
  }
}
