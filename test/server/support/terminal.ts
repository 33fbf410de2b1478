import { Writable } from 'node:stream';
import { run } from '../../../server/cli/program.ts';

/** What a command line printed and ended with. */
export interface Finished {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command line of the client in this process. */
export async function muster(
  argv: readonly string[],
  options: { readonly folder?: string; readonly environment?: Record<string, string>; readonly columns?: number } = {},
): Promise<Finished> {
  const [out, err] = [new Sink(), new Sink()];
  const { folder = '/', environment = {}, columns } = options;
  const code = await run(argv, { stdout: out, stderr: err, environment, folder, columns });
  return { code, out: out.text, err: err.text };
}

class Sink extends Writable {
  text = '';

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}
