import { celEnv, isCelError, parse, plan, type CelInput } from '@bufbuild/cel';
import { strings } from '@bufbuild/cel/ext';

const environment = celEnv({ funcs: strings });

/** An expression ready to run. An error is a value like any other; `describe` says what a value is that is no boolean. */
export interface PlannedExpression {
  run(variables: Readonly<Record<string, CelInput>>): unknown;
  describe(result: unknown): string;
}

/** Parses and plans an expression; throws what the library throws when it does not parse. */
export function planExpression(expression: string): PlannedExpression {
  const planned = plan(environment, parse(expression));
  return {
    run(variables) {
      try {
        return planned(variables);
      } catch (error) {
        return error;
      }
    },
    describe: (result) => (isCelError(result) ? result.message : `a ${typeof result}`),
  };
}
