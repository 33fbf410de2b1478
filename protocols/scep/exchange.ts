import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import type { ScepSettings } from '../../core/enrollment/scep-settings.ts';
import type { ServiceIdentity } from '../../core/authority/service-identities.ts';
import type { Secret } from '../../core/keys/secret.ts';
import type { Encryption } from './envelope.ts';
import type { VerifiedMessage } from './pki-message.ts';
import type { RegistrationAuthority } from './registration-authority.ts';
import type { FailInfo } from './vocabulary.ts';

/** An endpoint that is open for SCEP, with SCEP's settings. */
export interface OpenEndpoint {
  readonly endpoint: Endpoint;
  readonly settings: ScepSettings;
}

/** Where a message came from. */
export interface Call {
  readonly requestId: string;
  readonly sourceAddress: string;
}

/** A verified message on its way to an answer. */
export interface Exchange extends OpenEndpoint {
  readonly call: Call;
  readonly message: VerifiedMessage;
  readonly ra: RegistrationAuthority;
  /** Whether MD5 and single DES are accepted now. */
  readonly legacy: boolean;
}

/** What a message is answered with, before it is encoded. */
export type Reply = (Granted | { readonly kind: 'pending' } | Failed) & {
  /** Whose key the request was encrypted for, where that is known. */
  readonly recipient?: ServiceIdentity;
};

/** A success: certificates or a CRL in a degenerate SignedData. */
export interface Granted {
  readonly kind: 'granted';
  readonly certsOnly: Uint8Array;
  readonly encryption: Encryption;
  readonly challenge: Secret | undefined;
}

/** A failure. */
export interface Failed {
  readonly kind: 'failed';
  readonly failInfo: FailInfo;
  /** One line for the device. */
  readonly text: string;
  /** Whether it counts as one of the messages that could not be read, whatever its failInfo. */
  readonly isUnreadable?: boolean;
  /** For the log of the operator alone. */
  readonly detail?: string;
}

/**
 * The one answer to whatever turns out to be wrong once a private key was used: padding, key length, content that cannot be
 * read or a request that its key did not sign (V20, V22).
 */
export const UNREADABLE: Failed = {
  kind: 'failed',
  failInfo: 'badMessageCheck',
  text: 'the message cannot be read',
  isUnreadable: true,
};
