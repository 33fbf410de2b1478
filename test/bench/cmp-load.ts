import { nullValue } from '../fakes/cmp-der.ts';
import { type Body, buildMessage, ID_IT, info } from '../fakes/cmp-message.ts';
import { type MacSecret, passwordBasedMac, pbmac1, type Protection } from '../fakes/cmp-protection.ts';
import { certRequests, genm, p10cr, pkcs10, requestFor } from '../fakes/cmp-request.ts';
import { CmpResponse } from '../fakes/cmp-response.ts';
import { newKey } from '../fakes/cmp-signatures.ts';
import { HttpConnection } from './http-load.ts';

/** Where messages go. */
export interface LoadTarget {
  readonly port: number;
  readonly path: string;
}

/** A device's key: one for all, as the time of making keys is nobody's business here. */
const KEY = newKey();
let made = 0;

/** A request for a certificate of a new name, which needs no confirmation. */
export function enrolment(kind: 'ir' | 'p10cr', protect: Protection): Uint8Array {
  const subject = `CN=router${made++}.example`;
  const content: Body =
    kind === 'p10cr' ? p10cr(pkcs10({ subject, key: KEY })) : certRequests('ir', requestFor(subject, KEY));
  return buildMessage({ content, protect, header: { generalInfo: [info(ID_IT.implicitConfirm, nullValue())] } });
}

/** A question that costs the server a MAC with so many iterations and little else; the MAC itself is right. */
export function question(secret: MacSecret, scheme: 'pbm' | 'pbmac1', iterations: number): Uint8Array {
  const protect = scheme === 'pbm' ? passwordBasedMac(secret, { iterations }) : pbmac1(secret, { iterations });
  return buildMessage({ content: genm(info(ID_IT.preferredSymmAlg)), protect });
}

/** The same with a MAC that is wrong, and nothing derived for it here. */
export function wrongQuestion(secret: MacSecret, iterations: number): Uint8Array {
  const protect = passwordBasedMac(secret, { iterations: 1, claimedIterations: iterations });
  return buildMessage({ content: genm(info(ID_IT.preferredSymmAlg)), protect });
}

/** The whole HTTP request around a message. */
export function httpRequest({ path }: LoadTarget, message: Uint8Array): Buffer {
  const head =
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n` +
    `Content-Type: application/pkixcmp\r\nContent-Length: ${message.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), message]);
}

/** What a run did. */
export interface Driven {
  /** Answers a second. */
  readonly rate: number;
  /** The first and the last answer, to be looked at: reading them all would take the servers' time. */
  readonly samples: readonly CmpResponse[];
}

/** Sends prepared requests, each as soon as its connection is free, until they or the time run out. */
export async function drive(
  { port }: LoadTarget,
  requests: Buffer[],
  { connections, milliseconds, fresh }: { connections: number; milliseconds: number; fresh: boolean },
): Promise<Driven> {
  const samples: Buffer[] = [];
  let done = 0;
  const start = performance.now();
  const worker = async (): Promise<void> => {
    let connection: HttpConnection | undefined;
    while (performance.now() - start < milliseconds && requests.length > 0) {
      connection ??= await HttpConnection.open(port);
      const body = await connection.send(requests.pop()!);
      samples.splice(1, 1, body);
      done += 1;
      if (!fresh) continue;
      connection.close();
      connection = undefined;
    }
    connection?.close();
  };
  await Promise.all(Array.from({ length: connections }, worker));
  const rate = done / ((performance.now() - start) / 1000);
  return { rate, samples: samples.map((body) => new CmpResponse(body)) };
}
