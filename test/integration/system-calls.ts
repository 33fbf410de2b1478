/** A system call that strace saw: `start` and `end` are places in the order of everything seen. */
export interface SystemCall {
  readonly name: string;
  readonly start: number;
  /** Infinity when it did not return before the trace ended. */
  readonly end: number;
  /** The arguments as strace writes them. */
  readonly arguments: string;
  /** -1 for an error; NaN when it did not return. */
  readonly result: number;
}

const WHOLE = /^\d+ +(\w+)\((.*)\) += +(-?\w+)/;
const BEGUN = /^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$/;
const RESUMED = /^(\d+) +<\.\.\. (\w+) resumed>(.*)\) += +(-?\w+)/;

/** Reads what `strace -f -o` wrote, in the order in which the calls began. Other lines (signals, ends) are left out. */
export function parseTrace(text: string): SystemCall[] {
  const calls: SystemCall[] = [];
  /** Index in `calls` of the call each thread is inside. */
  const open = new Map<string, number>();
  for (const [place, line] of text.split('\n').entries()) {
    const whole = WHOLE.exec(line);
    if (whole) {
      calls.push({ name: whole[1]!, start: place, end: place, arguments: whole[2]!, result: Number(whole[3]) });
      continue;
    }
    const begun = BEGUN.exec(line);
    if (begun) {
      open.set(begun[1]!, calls.length);
      calls.push({ name: begun[2]!, start: place, end: Infinity, arguments: begun[3]!, result: NaN });
      continue;
    }
    const resumed = RESUMED.exec(line);
    const index = resumed && open.get(resumed[1]!);
    if (index === null || index === undefined) continue;
    const call = calls[index]!;
    calls[index] = { ...call, end: place, arguments: call.arguments + resumed![3]!, result: Number(resumed![4]) };
  }
  return calls;
}

/** The number of the file descriptor that is the first argument. */
export function descriptorOf({ arguments: text }: SystemCall): number {
  return Number.parseInt(text, text.startsWith('0x') ? 16 : 10);
}

/** What the descriptor leads to, as `strace -yy` shows it: a path, or `TCP:[…]`; undefined where it is not shown. */
export function targetOf({ arguments: text }: SystemCall): string | undefined {
  const shown = /^\d+<((?:TCP:\[[^\]]*\])|[^>]*)>/.exec(text)?.[1];
  return shown?.startsWith('\\x') ? unescaped(shown).toString() : shown;
}

/** The octets of the first string among the arguments, written by `strace -xx`. */
export function octetsOf({ arguments: text }: SystemCall): Buffer {
  return unescaped(/"((?:\\x[0-9a-f]{2})*)"/.exec(text)?.[1] ?? '');
}

function unescaped(text: string): Buffer {
  return Buffer.from(text.replaceAll('\\x', ''), 'hex');
}
