import { createSocket, type Socket } from 'node:dgram';
import { isIPv4 } from 'node:net';
import { once } from 'node:events';

import { ipAddressFromText } from '../../core/x509/ip-address.ts';

const TYPES: Readonly<Record<number, RecordType>> = { 1: 'A', 5: 'CNAME', 16: 'TXT', 28: 'AAAA', 257: 'CAA' };
type RecordType = 'A' | 'AAAA' | 'CNAME' | 'TXT' | 'CAA';

/** A name server on loopback that answers from a table (RFC 1035 §4), aliases followed; every question is remembered. */
export class DnsServer implements AsyncDisposable {
  readonly #socket: Socket;
  /** `name` → texts of records; addresses are told from aliases by their form. */
  readonly addresses = new Map<string, readonly string[]>();
  readonly texts = new Map<string, readonly string[]>();
  readonly aliases = new Map<string, string>();
  /** `name` → CAA records (RFC 8659 §4.1) as `tag value`, `!tag value` for one that is critical. */
  readonly caa = new Map<string, readonly string[]>();
  readonly asked: string[] = [];
  /** What answers instead of the table, by name: for hosts that change their mind. */
  readonly turns = new Map<string, string[][]>();

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (query, peer) => socket.send(this.#answer(query), peer.port, peer.address));
  }

  static async start(): Promise<DnsServer> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new DnsServer(socket);
  }

  /** As a resolver setting has it. */
  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
  }

  #answer(query: Buffer): Buffer {
    const labels: string[] = [];
    let at = 12;
    for (let length = query[at]!; length > 0; length = query[at]!) {
      labels.push(query.toString('latin1', at + 1, at + 1 + length));
      at += 1 + length;
    }
    const type = TYPES[query.readUInt16BE(at + 1)];
    const name = labels.join('.').toLowerCase();
    this.asked.push(`${type} ${name}`);
    const question = query.subarray(12, at + 5);
    const records = this.#records(name, type);
    const header = Buffer.alloc(12);
    query.copy(header, 0, 0, 2);
    const isKnown = [this.addresses, this.texts, this.aliases, this.caa, this.turns].some((table) => table.has(name));
    header.writeUInt16BE(isKnown ? 0x8180 : 0x8183, 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(records.length, 6);
    return Buffer.concat([header, question, ...records]);
  }

  #records(name: string, type: RecordType | undefined): Buffer[] {
    const alias = this.aliases.get(name);
    if (alias !== undefined) return [record(name, 5, encodeName(alias)), ...this.#records(alias, type)];
    if (type === 'TXT') return (this.texts.get(name) ?? []).map((text) => record(name, 16, characterStrings(text)));
    if (type === 'CAA') return (this.caa.get(name) ?? []).map((text) => record(name, 257, caaData(text)));
    const turn = this.turns.get(name);
    const addresses =
      (turn && (turn.length > 1 && type === 'A' ? turn.shift() : turn[0])) ?? this.addresses.get(name) ?? [];
    return addresses
      .filter((address) => isIPv4(address) === (type === 'A') && (type === 'A' || type === 'AAAA'))
      .map((address) => record(name, type === 'A' ? 1 : 28, Buffer.from(ipAddressFromText(address))));
  }
}

function record(name: string, type: number, data: Buffer): Buffer {
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(type, 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([encodeName(name), fixed, data]);
}

function caaData(text: string): Buffer {
  const [, critical, tag = '', value = ''] = /^(!?)(\S+) (.*)$/.exec(text) ?? [];
  const flags = critical === '!' ? 128 : 0;
  return Buffer.concat([Buffer.of(flags, tag.length), Buffer.from(tag, 'latin1'), Buffer.from(value, 'latin1')]);
}

function encodeName(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label, 'latin1')]));
  return Buffer.concat([...labels, Buffer.of(0)]);
}

function characterStrings(text: string): Buffer {
  const pieces = text.match(/.{1,255}/g) ?? [''];
  return Buffer.concat(pieces.map((piece) => Buffer.concat([Buffer.of(piece.length), Buffer.from(piece, 'latin1')])));
}
