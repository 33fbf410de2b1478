import type { CelInput } from '@bufbuild/cel';

import { PeerError, PolicyError } from '../errors/muster-error.ts';
import type { PlannedExpression } from './cel.ts';

/** Longest accepted expression, in UTF-16 units: a rule an operator can still read. */
const MAX_EXPRESSION_LENGTH = 4096;

/** The variables a rule sees: plain JSON-like values, strings for everything a device controls. */
export type RuleVariables = Readonly<Record<string, CelInput>>;

/** A compiled CEL expression that yields a boolean. */
export interface Rule {
  readonly expression: string;
  /** @throws PolicyError `policy-refused` when evaluation fails or yields no boolean: a broken rule never admits. */
  evaluate(variables: RuleVariables): boolean;
}

/**
 * Compiles a CEL expression (https://cel.dev); `name` is what refusals and errors call it. Rejects with PeerError
 * `malformed-request` when it is too long or does not parse; the text says where.
 */
export async function compileRule(expression: string, name: string): Promise<Rule> {
  if (expression.length > MAX_EXPRESSION_LENGTH) {
    throw new PeerError(
      'malformed-request',
      `rule ${name}: expected at most ${MAX_EXPRESSION_LENGTH} characters, found ${expression.length}`,
    );
  }
  const planned = await plannedExpression(expression, name);
  return {
    expression,
    evaluate(variables) {
      const result = planned.run(variables);
      if (typeof result === 'boolean') return result;
      throw new PolicyError('policy-refused', `the admission rule ${name} could not be evaluated`, {
        cause: new PeerError(
          'malformed-request',
          `rule ${expression}: expected a boolean, found ${planned.describe(result)}`,
        ),
      });
    },
  };
}

async function plannedExpression(expression: string, name: string): Promise<PlannedExpression> {
  // The library takes 30 MB of memory: a site without rules never loads it.
  const { planExpression } = await import('./cel.ts');
  try {
    return planExpression(expression);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new PeerError('malformed-request', `rule ${name}: not a CEL expression: ${detail}`, { cause: error });
  }
}
