import { PeerError } from '../../core/errors/muster-error.ts';
import { decodePem } from '../../core/x509/pem.ts';
import { decodingFault } from './decoding-fault.ts';

/** How the base64 of an answer is laid out: 64-column lines, or one line. */
export type Layout = 'columns-64' | 'none';

const SEQUENCE = 0x30;
const LINE_FEED = 0x0a;
const PAD = 0x3d;
const COLUMNS = 64;
const ALPHABET = new TextEncoder().encode('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * The DER in a request body. RFC 8951 §3: base64, with or without white space, whatever Content-Transfer-Encoding says;
 * besides, for the clients that send them: bare DER, and one PEM block with one of the labels.
 *
 * @throws PeerError `bad-encoding` for anything else
 */
export function decodeBody(body: Uint8Array, pemLabels: readonly string[]): Uint8Array {
  // A SEQUENCE begins with 0x30, the character '0', with which no base64 of a SEQUENCE begins: that is an 'M'.
  if (body[0] === SEQUENCE) return body;
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1').trim();
  if (text === '') throw new PeerError('bad-encoding', 'expected a certification request, found an empty body');
  return text.startsWith('-----') ? decodeOnePem(text, pemLabels) : decodeBase64(text);
}

/**
 * Base64 (RFC 4648 §4) as octets: a string that held a private key could not be erased. `columns-64` ends every line
 * with LF.
 */
export function encodeBase64(bytes: Uint8Array, layout: Layout): Uint8Array {
  const characters = Math.ceil(bytes.length / 3) * 4;
  const out = new Uint8Array(layout === 'none' ? characters : characters + Math.ceil(characters / COLUMNS));
  let at = 0;
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const group = (bytes[i]! << 16) | (left > 1 ? bytes[i + 1]! << 8 : 0) | (left > 2 ? bytes[i + 2]! : 0);
    out[at++] = ALPHABET[group >> 18]!;
    out[at++] = ALPHABET[(group >> 12) & 0x3f]!;
    out[at++] = left > 1 ? ALPHABET[(group >> 6) & 0x3f]! : PAD;
    out[at++] = left > 2 ? ALPHABET[group & 0x3f]! : PAD;
    if (layout === 'columns-64' && (at + 1) % (COLUMNS + 1) === 0) out[at++] = LINE_FEED;
  }
  if (at < out.length) out[at] = LINE_FEED;
  return out;
}

function decodeBase64(text: string): Uint8Array {
  const compact = text.replaceAll(/[ \t\r\n]+/g, '');
  if (!BASE64.test(compact))
    throw new PeerError('bad-encoding', 'expected base64, found other characters or broken padding');
  return new Uint8Array(Buffer.from(compact, 'base64'));
}

function decodeOnePem(text: string, labels: readonly string[]): Uint8Array {
  try {
    const blocks = decodePem(text);
    const [block] = blocks;
    if (blocks.length === 1 && block && labels.includes(block.label)) return block.der;
  } catch (error) {
    throw decodingFault(error, 'bad-encoding');
  }
  throw new PeerError('bad-encoding', `expected one PEM block labelled ${labels[0]}, found another`);
}
