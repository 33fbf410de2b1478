/** Longest transcript of one step, in characters: what is beyond is cut, and says so. */
const MAX_CHARACTERS = 64 * 1024;

const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g;

/** What is said with a device in one step. Credentials never come here; private keys are cut out, should a device print one. */
export class Transcript {
  readonly #start: number;
  readonly #now: () => number;
  #text = '';

  constructor(now: () => number) {
    this.#now = now;
    this.#start = now();
  }

  /** What was sent, line by line. */
  sent(text: string): void {
    this.#add('>', text);
  }

  /** What came back. */
  came(text: string): void {
    this.#add('<', text);
  }

  /** What we found ourselves. */
  noted(text: string): void {
    this.#add('#', text);
  }

  get text(): string {
    return this.#text;
  }

  #add(mark: string, text: string): void {
    if (text === '' || this.#text.length > MAX_CHARACTERS) return;
    const seconds = ((this.#now() - this.#start) / 1000).toFixed(1);
    const lines = printableLines(text).map((line) => `${seconds.padStart(6)} ${mark} ${line}\n`);
    this.#text += lines.join('');
    if (this.#text.length > MAX_CHARACTERS) this.#text = `${this.#text.slice(0, MAX_CHARACTERS)}\n# cut here\n`;
  }
}

/** The last words of a device, for a message: one line, printable, at most 300 characters. */
export function lastWords(text: string): string {
  return printableLines(text).join(' ').trim().slice(-300);
}

/** Control characters would run on an operator's terminal. */
function printableLines(text: string): readonly string[] {
  return text
    .toWellFormed()
    .replaceAll(PRIVATE_KEY, '(a private key, cut out)')
    .trimEnd()
    .split(/\r?\n/)
    .map((line) => line.replaceAll(/\p{Cc}/gu, '?'));
}
