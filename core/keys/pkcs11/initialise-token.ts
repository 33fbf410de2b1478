import pkcs11js, { type Handle, type PKCS11 } from 'pkcs11js';
import { InternalError } from '../../errors/muster-error.ts';
import type { Secret } from '../secret.ts';
import { openSession } from './token-login.ts';
import { TokenFault } from './token-fault.ts';

/**
 * Gives a token its label and PINs (C_InitToken, C_InitPIN) unless it has them; one that got only its label is completed.
 * Throws InternalError when there is no free slot, TokenFault when the token refuses.
 */
export function initialiseToken(
  api: PKCS11,
  { label, pin, soPin }: { readonly label: string; readonly pin: Secret; readonly soPin: Secret },
): void {
  let slot = findSlot(api, (info) => info.label.trimEnd() === label);
  if (slot === undefined) {
    const free = findSlot(api, ({ flags }) => (flags & pkcs11js.CKF_TOKEN_INITIALIZED) === 0);
    if (free === undefined) throw new InternalError(`no free slot for the token "${label}"`);
    attempt(() => api.C_InitToken(free, soPin.reveal(), label.padEnd(32)));
    slot = free;
  }
  if ((api.C_GetTokenInfo(slot).flags & pkcs11js.CKF_USER_PIN_INITIALIZED) === 0) initialisePin(api, slot, pin, soPin);
}

function initialisePin(api: PKCS11, slot: Handle, pin: Secret, soPin: Secret): void {
  attempt(() => {
    const session = openSession(api, slot);
    try {
      api.C_Login(session, pkcs11js.CKU_SO, soPin.reveal());
      api.C_InitPIN(session, pin.reveal());
      api.C_Logout(session);
    } finally {
      api.C_CloseSession(session);
    }
  });
}

function findSlot(api: PKCS11, test: (info: pkcs11js.TokenInfo) => boolean): Handle | undefined {
  return api.C_GetSlotList(true).find((slot) => test(api.C_GetTokenInfo(slot)));
}

function attempt(run: () => void): void {
  try {
    run();
  } catch (error) {
    throw TokenFault.from(error);
  }
}
