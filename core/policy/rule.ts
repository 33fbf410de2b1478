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
 * Compiles a CEL expression (https://cel.dev); `name` is what refusals and errors call it.
 * @throws PeerError `malformed-request` when it is too long or does not parse; the text says where.
 */
export function compileRule(expression: string, name: string): Rule {
  if (expression.length > MAX_EXPRESSION_LENGTH) {
    throw new PeerError(
      'malformed-request',
      `rule ${name}: expected at most ${MAX_EXPRESSION_LENGTH} characters, found ${expression.length}`,
    );
  }
  const evaluate = planned(expression, name);
  return {
    expression,
    evaluate(variables) {
      const result = evaluated(evaluate, variables);
      if (typeof result === 'boolean') return result;
      const found = isCelError(result) ? result.message : `a ${typeof result}`;
      throw new PolicyError('policy-refused', `the admission rule ${name} could not be evaluated`, {
        cause: new PeerError('malformed-request', `rule ${expression}: expected a boolean, found ${found}`),
      });
    },
  };
}

type Planned = (variables: RuleVariables) => unknown;

function planned(expression: string, name: string): Planned {
  try {
    return plan(environment, parse(expression)) as Planned;
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new PeerError('malformed-request', `rule ${name}: not a CEL expression: ${detail}`, { cause: error });
  }
}

/** CEL's errors are values; what the library throws all the same is one more of them. */
function evaluated(evaluate: Planned, variables: RuleVariables): unknown {
  try {
    return evaluate(variables);
  } catch (error) {
    return error;
  }
}
