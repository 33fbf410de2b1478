import { parentPort } from 'node:worker_threads';

import { deriveKey } from './key-derivation.ts';
import type { DerivationAnswer, DerivationOrder } from './derivation-thread.ts';

// The other end of DerivationThread: one order at a time, in the order they come.
parentPort?.on('message', ({ id, derivation, secret }: DerivationOrder) => {
  const key = deriveKey(derivation, secret);
  parentPort?.postMessage({ id, key } satisfies DerivationAnswer);
});
