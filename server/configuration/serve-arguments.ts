import { parseArgs } from 'node:util';
import { ConfigurationError } from './configuration-error.ts';
import { suggestion } from './nearest-name.ts';

/** The flags of `npm start -- …`; each is undefined when absent. */
export interface ServeArguments {
  /** `--data DIR` */
  readonly dataFolder: string | undefined;
  /** `--port-base N`: plain N, mtls N+1, tls N+2, admin N+3. */
  readonly portBase: number | undefined;
  /** `--ready-file FILE` */
  readonly readyFile: string | undefined;
  /** `--config FILE` */
  readonly configFile: string | undefined;
  /** `--help` */
  readonly help: boolean;
}

/** What `--help` prints. */
export const serveUsage = `usage: npm start -- [--config FILE] [--data DIR] [--port-base N] [--ready-file FILE]

  --config FILE      read settings from a YAML file (config/muster.full.yaml lists them all)
  --data DIR         keep everything in this folder (default ./data)
  --port-base N      listen on N (plain), N+1 (mtls), N+2 (tls) and N+3 (admin)
  --ready-file FILE  once listening, write URLs and first credentials to this file (mode 0600)
`;

const options = {
  config: { type: 'string' },
  data: { type: 'string' },
  'port-base': { type: 'string' },
  'ready-file': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** Parses the flags of the server. Throws ConfigurationError with the nearest flag for one it does not know. */
export function parseServeArguments(argv: readonly string[]): ServeArguments {
  const { values, positionals, tokens } = parseArgs({
    args: [...argv],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const problems = positionals.map((argument) => `unexpected argument "${argument}"`);
  for (const token of tokens) if (token.kind === 'option') problems.push(...optionProblems(token.name, token.value));
  const portBase = values['port-base'];
  if (typeof portBase === 'string' && !isPortBase(portBase)) {
    problems.push(`--port-base: expected a port from 1 to 65532, found "${portBase}"`);
  }
  if (problems.length > 0) throw new ConfigurationError(problems);
  return {
    dataFolder: textOf(values.data),
    portBase: typeof portBase === 'string' ? Number(portBase) : undefined,
    readyFile: textOf(values['ready-file']),
    configFile: textOf(values.config),
    help: values.help === true,
  };
}

function optionProblems(name: string, value: string | undefined): string[] {
  if (!Object.hasOwn(options, name) && name !== 'h') {
    const flags = Object.keys(options).map((known) => `--${known}`);
    return [`unknown flag --${name}${suggestion(`--${name}`, flags)}`];
  }
  if (name !== 'help' && name !== 'h' && (value === undefined || value === '')) return [`--${name}: expected a value`];
  return [];
}

function isPortBase(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_532;
}

function textOf(value: string | boolean | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
