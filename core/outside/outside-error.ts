/** What kept us from an answer of somebody else's host. */
export type OutsideFault =
  /** The name has no address, or the resolver gave none. */
  | 'name'
  /** An address or a port that the policy does not let us reach. */
  | 'address'
  /** Nobody answered, or not in time. */
  | 'connection'
  /** The TLS handshake failed. */
  | 'tls'
  /** An answer came that is not one to go on with. */
  | 'answer';

/** A conversation with somebody else's host that failed. The message never holds anything that the host said. */
export class OutsideError extends Error {
  readonly fault: OutsideFault;

  constructor(fault: OutsideFault, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'OutsideError';
    this.fault = fault;
  }
}
