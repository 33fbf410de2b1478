import type { FaultKind } from './pkcs11/token-fault.ts';
import type { TokenBackend } from './token-backend.ts';

/** The operations that cross to the signer process: those of TokenBackend that talk to the token. */
export type SignerMethod = 'sign' | 'decryptRaw' | 'unwrap' | 'generate' | 'find' | 'ping';

export type SignerArguments<M extends SignerMethod> = Parameters<TokenBackend[M]>;
export type SignerResult<M extends SignerMethod> = Awaited<ReturnType<TokenBackend[M]>>;

/** What the signer process needs to reach its token. It travels over IPC only: arguments and environment can be read by others. */
export interface SignerToken {
  readonly module: string;
  readonly libraryParameters: string | undefined;
  readonly label: string;
  readonly pin: string;
  readonly maxSessions: number;
  readonly rsaDecryption: 'raw' | 'unwrap' | undefined;
}

/** To the signer process: first, and once, `connect`; then operations, answered in any order. */
export type SignerRequest =
  | { readonly id: number; readonly kind: 'connect'; readonly token: SignerToken }
  | {
      readonly id: number;
      readonly kind: 'operation';
      readonly method: SignerMethod;
      readonly args: readonly unknown[];
    };

/** A TokenFault as plain data. */
interface SignerFault {
  readonly kind: FaultKind;
  readonly message: string;
  readonly code: number;
}

/** From the signer process: `login` announces a C_Login that is about to be called. */
export type SignerMessage =
  | { readonly kind: 'login' }
  | { readonly kind: 'result'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'fault'; readonly id: number; readonly fault: SignerFault };
