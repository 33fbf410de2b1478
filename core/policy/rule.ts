import { celEnv, isCelError, parse, plan, type CelInput } from '@bufbuild/cel';
import { strings } from '@bufbuild/cel/ext';

import { PeerError, PolicyError } from '../errors/muster-error.ts';

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

const environment = celEnv({ funcs: strings });

/**
 * Compiles a CEL expression (https://cel.dev).
 * @throws PeerError `malformed-request` when it is too long or does not parse; the text says where.
 */
export function compileRule(expression: string): Rule {
  if (expression.length > MAX_EXPRESSION_LENGTH) {
    throw new PeerError(
      'malformed-request',
      `rule: expected at most ${MAX_EXPRESSION_LENGTH} characters, found ${expression.length}`,
    );
  }
  const evaluate = planned(expression);
  return {
    expression,
    evaluate(variables) {
      const result = evaluate(variables);
      if (typeof result === 'boolean') return result;
      const found = isCelError(result) ? result.message : `a ${typeof result}`;
      throw new PolicyError('policy-refused', 'an admission rule could not be evaluated', {
        cause: new PeerError('malformed-request', `rule ${expression}: expected a boolean, found ${found}`),
      });
    },
  };
}

function planned(expression: string): (variables: RuleVariables) => unknown {
  try {
    return plan(environment, parse(expression)) as (variables: RuleVariables) => unknown;
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new PeerError('malformed-request', `rule: not a CEL expression: ${detail}`, { cause: error });
  }
}
