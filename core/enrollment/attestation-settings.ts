import type { Authenticator } from './endpoint.ts';

/** The authenticators of the attestation front door: evidence, and nothing else. */
export const ATTESTATION_AUTHENTICATORS = ['evidence'] as const satisfies readonly Authenticator[];

/**
 * What the front door does. `attestation-key`: certifies attestation keys of TPMs, once they are activated. `ticket`: gives who
 * attested a one-time secret for another protocol. `matter`: certifies the key of a Matter device's NOCSR.
 */
export const ATTESTATION_SERVICES = ['attestation-key', 'ticket', 'matter'] as const;
export type AttestationService = (typeof ATTESTATION_SERVICES)[number];

/** The switches of the attestation front door on one endpoint. */
export interface AttestationDoorSettings {
  readonly authenticators: readonly Authenticator[];
  /** What is not listed is refused. */
  readonly services: readonly AttestationService[];
  /** How long a ticket opens what it was given for. */
  readonly ticketLifetimeSeconds: number;
  /** Requests from one address within a minute, before more are refused; 0: no limit. */
  readonly requestsPerMinute: number;
}

/** What opening the front door means when nothing more is said: tickets. An endpoint of attestation keys has a profile of its own. */
export const OPEN_ATTESTATION: AttestationDoorSettings = {
  authenticators: ['evidence'],
  services: ['ticket'],
  ticketLifetimeSeconds: 300,
  requestsPerMinute: 60,
};
