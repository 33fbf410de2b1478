import { joined, sized, u16, u32, u8 } from './tpm-marshal.ts';
import type { SwtpmProcess } from './swtpm-process.ts';

/** TPM_CC of the commands a test device sends (TPM 2.0 Library, Part 2 §6.5.2). */
export const COMMAND = {
  evictControl: 0x120,
  nvUndefineSpace: 0x122,
  nvDefineSpace: 0x12a,
  createPrimary: 0x131,
  nvWrite: 0x137,
  shutdown: 0x145,
  activateCredential: 0x147,
  certify: 0x148,
  certifyCreation: 0x14a,
  nvRead: 0x14e,
  policySecret: 0x151,
  create: 0x153,
  load: 0x157,
  quote: 0x158,
  sign: 0x15d,
  flushContext: 0x165,
  nvReadPublic: 0x169,
  startAuthSession: 0x176,
  pcrRead: 0x17e,
  policyPcr: 0x17f,
  pcrExtend: 0x182,
} as const;

/** Handles that are always there. */
export const HANDLE = {
  owner: 0x40000001,
  null: 0x40000007,
  passwordSession: 0x40000009,
  endorsement: 0x4000000b,
  platform: 0x4000000c,
} as const;

/** A response code that is not success: such as 0x1df, TPM_RC_INTEGRITY on parameter 1. */
class TpmFailure extends Error {
  readonly code: number;

  constructor(command: string, code: number) {
    super(`TPM2 ${command} answered 0x${code.toString(16)}`);
    this.name = 'TpmFailure';
    this.code = code;
  }
}

/** What a command is made of. */
interface CommandParts {
  readonly handles?: readonly number[];
  /** One entry a handle that needs authorization; the empty password where `password`. */
  readonly sessions?: readonly ('password' | number)[];
  readonly parameters?: Uint8Array;
  /** How many handles the response begins with. */
  readonly returnsHandles?: number;
}

/** A response without its header: handles and parameters. */
export interface TpmResponse {
  readonly handles: readonly number[];
  readonly parameters: ResponseReader;
}

const NO_SESSIONS = 0x8001;
const SESSIONS = 0x8002;
/** TPM_RC_YIELDED, TPM_RC_TESTING, TPM_RC_RETRY: ask again. */
const AGAIN: ReadonlySet<number> = new Set([0x908, 0x90a, 0x922]);
const TRIES = 50;

/** Sends a command until the TPM does not ask for a repetition. Throws TpmFailure on every other response code. */
export async function send(
  tpm: SwtpmProcess,
  command: keyof typeof COMMAND,
  { handles = [], sessions = [], parameters = new Uint8Array(), returnsHandles = 0 }: CommandParts,
): Promise<TpmResponse> {
  const area = joined(...sessions.map(authorization));
  const body = joined(
    u32(COMMAND[command]),
    ...handles.map(u32),
    ...(sessions.length === 0 ? [] : [u32(area.length), area]),
    parameters,
  );
  const octets = joined(u16(sessions.length === 0 ? NO_SESSIONS : SESSIONS), u32(body.length + 6), body);
  for (let tried = 1; ; tried++) {
    const reader = new ResponseReader(await tpm.transceive(octets));
    reader.skip(6);
    const code = reader.u32();
    if (code === 0) return responseOf(reader, sessions.length > 0, returnsHandles);
    if (!AGAIN.has(code) || tried === TRIES) throw new TpmFailure(command, code);
  }
}

function responseOf(reader: ResponseReader, hasSessions: boolean, returnsHandles: number): TpmResponse {
  const handles = Array.from({ length: returnsHandles }, () => reader.u32());
  return { handles, parameters: hasSessions ? new ResponseReader(reader.take(reader.u32())) : reader };
}

/** TPMS_AUTH_COMMAND: session, nonce, attributes (continueSession), hmac. */
function authorization(session: 'password' | number): Uint8Array {
  const handle = session === 'password' ? HANDLE.passwordSession : session;
  return joined(u32(handle), u16(0), u8(1), u16(0));
}

/** Takes a response apart from left to right. The peer is ours: what is missing shows as RangeError. */
export class ResponseReader {
  readonly #octets: Buffer;
  #at = 0;

  constructor(octets: Uint8Array) {
    this.#octets = Buffer.from(octets);
  }

  skip(count: number): void {
    this.#at += count;
  }

  u16(): number {
    this.#at += 2;
    return this.#octets.readUInt16BE(this.#at - 2);
  }

  u32(): number {
    this.#at += 4;
    return this.#octets.readUInt32BE(this.#at - 4);
  }

  take(count: number): Uint8Array {
    this.#at += count;
    return new Uint8Array(this.#octets.subarray(this.#at - count, this.#at));
  }

  sized(): Uint8Array {
    return this.take(this.u16());
  }

  /** Everything that is left. */
  rest(): Uint8Array {
    return this.take(this.#octets.length - this.#at);
  }
}

/** TPM2B_SENSITIVE_CREATE with no password and no data. */
export const NO_SENSITIVE = sized(joined(u16(0), u16(0)));
