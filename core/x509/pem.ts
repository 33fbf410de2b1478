import { X509Error } from './x509-error.ts';

/** One block of a PEM text: its label ("CERTIFICATE", "CERTIFICATE REQUEST", …) and the bytes between its boundaries. */
export interface PemBlock {
  readonly label: string;
  readonly der: Uint8Array;
}

/** Longest PEM text that is looked at, in characters. */
const MAX_PEM_CHARACTERS = 16 * 1024 * 1024;

const BLOCK = /-----BEGIN ([A-Z0-9][A-Z0-9 ]{0,63})-----([^-]*)-----END \1-----/g;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** The textual encoding of RFC 7468 §3 (strict form: lines of 64 characters, each ended by LF). */
export function encodePem(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der).toString('base64');
  const lines = base64.match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

/**
 * Every block of a PEM text, in order. Text outside the blocks is ignored (RFC 7468 §2: explanatory text); white space
 * inside is. Throws X509Error where a block is not base64, holds header lines (encrypted keys of RFC 1421) or where there is no block.
 */
export function decodePem(text: string): PemBlock[] {
  if (text.length > MAX_PEM_CHARACTERS) {
    throw new X509Error('PEM', `at most ${MAX_PEM_CHARACTERS} characters`, `${text.length} characters`);
  }
  const blocks = Array.from(text.matchAll(BLOCK), ([, label, body]) => ({
    label: label!,
    der: decodeBody(label!, body!),
  }));
  const begins = text.split('-----BEGIN ').length - 1;
  if (blocks.length === 0) throw new X509Error('PEM', 'at least one block', 'none');
  if (begins !== blocks.length) {
    throw new X509Error('PEM', `${begins} complete blocks`, `${blocks.length} with matching boundaries`);
  }
  return blocks;
}

function decodeBody(label: string, body: string): Uint8Array {
  const base64 = body.replaceAll(/[ \t\r\n]+/g, '');
  if (!BASE64.test(base64)) throw new X509Error(`PEM ${label}`, 'base64', 'other characters or broken padding');
  return new Uint8Array(Buffer.from(base64, 'base64'));
}
