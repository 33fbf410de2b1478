/** Where a command runs: everything it may touch of the process. */
export interface Terminal {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Working directory. */
  readonly folder: string;
  /** Width of the terminal; undefined when the output goes to a pipe or file, which is never cut. */
  readonly columns: number | undefined;
}

/**
 * Text that a terminal may be shown: names and subjects come from devices, and an escape sequence in one must not reach
 * the screen of an operator.
 */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}
