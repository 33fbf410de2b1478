import { Secret } from './secret.ts';
import type { MaybePromise } from './token-backend.ts';
import { CryptokiLibrary } from './pkcs11/cryptoki-library.ts';
import { Pkcs11Token } from './pkcs11/pkcs11-token.ts';
import { TokenFault } from './pkcs11/token-fault.ts';
import type { SignerMessage, SignerRequest, SignerToken } from './signer-messages.ts';

/**
 * The signer process: one module, one token, its PIN, and nothing else of Muster. It is started by SignerClient, ends with it,
 * and may hang inside the module at any time: then it is killed and started anew.
 */

let token: Pkcs11Token | undefined;

process.on('message', (request: SignerRequest) => void answer(request));
process.on('disconnect', () => process.exit(0));
// A terminal sends these to the whole group; the server finishes its work first, and then ends us.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);

async function answer(request: SignerRequest): Promise<void> {
  const { id } = request;
  try {
    send({ kind: 'result', id, value: await perform(request) });
  } catch (error) {
    const { kind, message, code } = TokenFault.from(error);
    send({ kind: 'fault', id, fault: { kind, message, code } });
  }
}

function perform(request: SignerRequest): MaybePromise<unknown> {
  if (request.kind === 'connect') return connect(request.token);
  if (token === undefined) throw new TokenFault('lost', 'the signer process is not connected');
  const method = token[request.method] as (...args: readonly unknown[]) => MaybePromise<unknown>;
  return method.apply(token, [...request.args]);
}

function connect({ module, libraryParameters, label, pin, maxSessions, rsaDecryption }: SignerToken): Promise<unknown> {
  token = new Pkcs11Token(new CryptokiLibrary(module, libraryParameters), {
    label,
    pin: new Secret(pin),
    maxSessions,
    rsaDecryption,
    onLogin: () => send({ kind: 'login' }),
  });
  return token.connect();
}

function send(message: SignerMessage): void {
  if (process.connected) process.send?.(message);
}
