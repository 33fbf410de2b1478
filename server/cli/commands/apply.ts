import type { Command } from 'commander';
import { readApplyDocument } from '../apply/document.ts';
import { type ApplyOptions, planOf, type TenantPlan } from '../apply/plan.ts';
import type { Step, StepOutcome } from '../apply/step.ts';
import { CliError, EXIT } from '../exit-code.ts';
import type { Session, SessionOf } from '../session.ts';
import { parseDuration } from '../values.ts';

interface ApplyFlags extends ApplyOptions {
  readonly file: string;
  readonly dryRun: boolean;
}

const exampleFile = `
File (YAML; file names count from its folder):
  tenants:
    - name: north
      authorities:
        - { name: root, kind: root }
        - { name: issuing, issuer: root }
      profiles:
        - { name: router, validitySeconds: 31536000 }
      endpoints:
        - { label: north-routers, profile: router, authority: issuing, protocols: { est: {} } }
    - name: south
      authorities:
        - { name: issuing, external: { csr: south.csr, certificates: [south.pem, root.pem] } }
    - name: west
      authorities:
        - { name: old, adopt: { key: 'pkcs11:token=hsm;object=old', certificates: [old.pem] } }`;

/** `muster apply`: what a file asks for becomes so, and a second run changes nothing. */
export function applyCommands(program: Command, sessionOf: SessionOf): void {
  program
    .command('apply')
    .description('make tenants, CAs, profiles, endpoints and devices what a file says; shows the difference first')
    .requiredOption('-f, --file <file>', 'what is wanted, YAML or JSON')
    .option('--dry-run', 'only show the difference', false)
    .option('--prune', 'delete profiles and endpoints of these tenants that the file does not name', false)
    .option('--wait <duration>', 'wait so long for certificates that somebody else signs', parseDuration, 0)
    .addHelpText(
      'after',
      `${exampleFile}\n\nEnds with ${EXIT.pending} when something is left: a dry run with differences, a certificate that is awaited.\n\nExamples:\n  muster apply -f fleet.yaml --dry-run\n  muster apply -f fleet.yaml --prune\n  muster apply -f fleet.yaml --wait 10m`,
    )
    .action(async ({ file, dryRun, ...options }: ApplyFlags, command: Command) => {
      const session = sessionOf(command);
      const document = readApplyDocument(file, session.terminal.folder);
      const plans = await planOf(session, document, options);
      const steps = plans.flatMap((plan) => plan.steps);
      const isJson = session.options.json === true;
      if (!isJson) steps.forEach((step) => session.print(textOf(step)));
      if (steps.length === 0) return session.confirm('everything is as the file says', { steps: [] });
      const outcomes = dryRun ? [] : await run(session, plans);
      if (isJson) session.printJson({ steps: steps.map(viewOf), outcomes });
      const waiting = outcomes.filter(({ state }) => state !== 'done');
      if (dryRun) throw new CliError(EXIT.pending, `${count(steps)} to be done; this was a dry run`);
      if (waiting.length > 0) throw new CliError(EXIT.pending, `${waiting.length} of ${count(steps)} left`);
      if (!isJson) session.print(`${count(steps)} done\n`);
    });
}

interface Reported {
  readonly what: string;
  readonly state: StepOutcome['state'] | 'skipped';
  readonly reason?: string;
}

/** One after the other; what comes after a step that waits waits with it, in its tenant. */
async function run(session: Session, plans: readonly TenantPlan[]): Promise<Reported[]> {
  const reported: Reported[] = [];
  for (const { steps } of plans) {
    let isWaiting = false;
    for (const step of steps) {
      const outcome: Omit<Reported, 'what'> = isWaiting ? { state: 'skipped' } : await attempt(session, step);
      if (outcome.state === 'waiting') isWaiting = true;
      if (outcome.reason !== undefined) session.note(`${step.what} waits: ${outcome.reason}`);
      reported.push({ what: step.what, ...outcome });
    }
  }
  return reported;
}

async function attempt(session: Session, step: Step): Promise<StepOutcome> {
  try {
    return await step.run();
  } catch (error) {
    if (error instanceof CliError) session.note(`${step.what} failed; what stands above it is done`);
    throw error;
  }
}

function textOf({ sign, what, differences }: Step): string {
  return `${sign} ${what}\n${differences.map((line) => `    ${line}\n`).join('')}`;
}

function viewOf({ sign, what, differences }: Step): object {
  return { sign, what, differences };
}

function count(steps: readonly Step[]): string {
  return steps.length === 1 ? '1 step' : `${steps.length} steps`;
}
