import pkcs11js, { type Handle, type PKCS11, type TokenInfo } from 'pkcs11js';
import type { Secret } from '../secret.ts';
import type { TokenFacts } from '../token-backend.ts';
import { isUnlimited } from './constants.ts';
import { TokenFault } from './token-fault.ts';

/** How one token of a module is reached. */
export interface TokenAccess {
  readonly label: string;
  readonly pin: Secret;
  readonly maxSessions: number;
  /** Overrides what the mechanism list says: for tokens that list CKM_RSA_X_509 and refuse it. */
  readonly rsaDecryption?: 'raw' | 'unwrap' | undefined;
  /** Called just before each C_Login. */
  readonly onLogin?: () => void;
}

/** A token that is logged in to. */
export interface ConnectedToken {
  readonly slot: Handle;
  /** The session that keeps the login alive. */
  readonly loginSession: Handle;
  readonly mechanisms: ReadonlySet<number>;
  readonly facts: TokenFacts;
}

/**
 * Finds the token by its label and logs in as the user. The session that logged in stays open and is used for nothing else: a token logs out with its last session, and sessions that fail are closed.
 *
 * Throws TokenFault: `lost` when the token is not there, `pin-refused` also without trying when the token says that the
 * PIN is locked, or that the next wrong one would lock it (a restart loop must not use up the last try).
 */
export function connectToken(api: PKCS11, access: TokenAccess): ConnectedToken {
  const { slot, info } = findSlot(api, access.label);
  const session = openSession(api, slot);
  if ((info.flags & pkcs11js.CKF_LOGIN_REQUIRED) !== 0) {
    try {
      refuseLastTry(info);
      access.onLogin?.();
      login(api, session, access.pin);
    } catch (error) {
      api.C_CloseSession(session);
      throw TokenFault.from(error);
    }
  }
  const mechanisms = new Set(api.C_GetMechanismList(slot));
  return { slot, loginSession: session, mechanisms, facts: describeToken(api, slot, info, access, mechanisms) };
}

/** A read-write session: some tokens know no other kind, and generation needs it. */
export function openSession(api: PKCS11, slot: Handle): Handle {
  return api.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION);
}

function findSlot(api: PKCS11, label: string): { slot: Handle; info: TokenInfo } {
  const found = api
    .C_GetSlotList(true)
    .map((slot) => ({ slot, info: tokenInfo(api, slot) }))
    .filter((candidate) => candidate.info !== undefined && text(candidate.info.label) === label);
  const [token, another] = found;
  if (token?.info === undefined) throw new TokenFault('lost', `no slot of the module holds a token "${label}"`);
  if (another !== undefined) throw new TokenFault('failed', `several tokens of the module are labelled "${label}"`);
  return { slot: token.slot, info: token.info };
}

function tokenInfo(api: PKCS11, slot: Handle): TokenInfo | undefined {
  try {
    return api.C_GetTokenInfo(slot);
  } catch {
    // A slot whose token is being pulled out is not the one we look for.
    return undefined;
  }
}

function refuseLastTry({ flags }: TokenInfo): void {
  if ((flags & pkcs11js.CKF_USER_PIN_LOCKED) !== 0)
    throw new TokenFault('pin-refused', 'the PIN of the token is locked');
  if ((flags & pkcs11js.CKF_USER_PIN_FINAL_TRY) !== 0) {
    throw new TokenFault('pin-refused', 'one more wrong PIN would lock the token: log in once with another tool first');
  }
}

function login(api: PKCS11, session: Handle, pin: Secret): void {
  try {
    api.C_Login(session, pkcs11js.CKU_USER, pin.reveal());
  } catch (error) {
    const fault = TokenFault.from(error);
    // Login is the process's, not the session's (PKCS#11 §5.6).
    if (fault.code !== pkcs11js.CKR_USER_ALREADY_LOGGED_IN) throw fault;
  }
}

function describeToken(
  api: PKCS11,
  slot: Handle,
  info: TokenInfo,
  { maxSessions, rsaDecryption }: TokenAccess,
  mechanisms: ReadonlySet<number>,
): TokenFacts {
  return {
    label: text(info.label),
    manufacturer: text(info.manufacturerID),
    model: text(info.model),
    serialNumber: text(info.serialNumber),
    rsaDecryption: rsaDecryption ?? (offersRawRsa(api, slot, mechanisms) ? 'raw' : 'unwrap'),
    sessions: isUnlimited(info.maxRwSessionCount)
      ? maxSessions
      : Math.max(1, Math.min(maxSessions, info.maxRwSessionCount - 1)),
  };
}

function offersRawRsa(api: PKCS11, slot: Handle, mechanisms: ReadonlySet<number>): boolean {
  if (!mechanisms.has(pkcs11js.CKM_RSA_X_509)) return false;
  return (api.C_GetMechanismInfo(slot, pkcs11js.CKM_RSA_X_509).flags & pkcs11js.CKF_DECRYPT) !== 0;
}

/** Fields of CK_TOKEN_INFO are padded with blanks (PKCS#11 §3.2). */
function text(padded: string): string {
  return padded.replace(/[\0 ]+$/, '');
}
