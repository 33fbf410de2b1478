import type { AuthorityDirectory } from '../../core/authority/directory.ts';
import type { ProfileDirectory } from '../../core/authority/profiles.ts';
import type { AcmeSettings } from '../../core/enrollment/acme-settings.ts';
import type { CredentialVerifier } from '../../core/enrollment/credentials.ts';
import type { Endpoint, EndpointDirectory } from '../../core/enrollment/endpoint.ts';
import type { Hall } from '../../core/enrollment/hall.ts';
import type { AttestationGate } from '../../core/enrollment/ports.ts';
import type { ShortLived } from '../../core/store/short-lived.ts';
import type { Store } from '../../core/store/store.ts';
import type { AcmeObserver } from './observer.ts';
import type { Nonces } from './nonces.ts';

/** What ACME stands on. */
export interface AcmeDependencies {
  readonly store: Store;
  readonly shortLived: Pick<ShortLived, 'increment'>;
  readonly endpoints: EndpointDirectory;
  readonly credentials: Pick<CredentialVerifier, 'eabKey' | 'eabNames' | 'acmeOrder'>;
  readonly hall: Pick<Hall, 'enroll'>;
  readonly authorities: Pick<AuthorityDirectory, 'issuerOf' | 'issuersByKeyIdentifier'>;
  readonly profiles: Pick<ProfileDirectory, 'get'>;
  /** What appraises evidence of devices; absent where none is wired. */
  readonly gate: Pick<AttestationGate, 'preAppraise'> | undefined;
  /** The `fmt` of an attestation object (device-attest-01); undefined for octets that are none. */
  readonly attestationFormat: (attestationObject: Uint8Array) => string | undefined;
  readonly nonces: Nonces;
  /**
   * Where clients reach this listener, without a trailing slash, for a request with this Host header: never a name that is not
   * ours, or who forwards our clients' requests could speak for us (RFC 8555 §6.4).
   */
  readonly baseUrl: (host: string | undefined) => string;
  readonly observer: AcmeObserver;
  /** Told what goes wrong behind a client's back. */
  readonly report: (error: unknown) => void;
}

/** An endpoint that is open for ACME. */
export interface OpenEndpoint {
  readonly endpoint: Endpoint;
  readonly settings: AcmeSettings;
}

/** A GET as HTTP brings it. */
export interface Question extends OpenEndpoint {
  /** Of the listener, without a trailing slash. */
  readonly base: string;
  readonly sourceAddress: string;
}

/** A POST as HTTP brings it. */
export interface Call extends Question {
  readonly requestId: string;
  /** The whole URL that was asked for. */
  readonly url: string;
  readonly body: Uint8Array;
}

/** What a service answers; the URL members become header fields. */
export interface Answer {
  readonly status: number;
  /** JSON, or text of the named media type; absent: no body. */
  readonly body?: object | { readonly type: string; readonly text: string };
  readonly location?: string;
  /** Values of Link besides `index`. */
  readonly links?: readonly string[];
  readonly retryAfterSeconds?: number;
}
