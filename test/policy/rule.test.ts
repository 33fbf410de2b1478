import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { PolicyError } from '../../core/errors/muster-error.ts';
import { compileRule } from '../../core/policy/rule.ts';

const variables = {
  request: { commonName: 'router1', names: ['dns:router1.example', 'ip:192.0.2.1'] },
  device: { known: false },
  evidence: { identifiers: { serial: 'SN-1' } },
};

describe('a rule', () => {
  it.each<[string, boolean]>([
    ['true', true],
    ['false', false],
    ["request.commonName == 'router1'", true],
    ["request.commonName.matches('^router[0-9]+$')", true],
    ["request.names.exists(n, n == 'ip:192.0.2.1') && !device.known", true],
    ["request.names.size() == 2 ? 'SN-1' == evidence.identifiers['serial'] : false", true],
    ["'serial' in evidence.identifiers", true],
    ["'ek' in evidence.identifiers", false],
    ['has(evidence.identifiers.ek)', false],
    ["request.commonName.lowerAscii().split('r').size() == 3", true],
    // CEL decides what it can: an error beside what decides does not count.
    ['request.nonsense || true', true],
    ['request.nonsense && false', false],
  ])('%s is %s', async (expression, expected) => {
    expect((await compileRule(expression, 'r')).evaluate(variables)).toBe(expected);
  });

  it.each([
    '1',
    "'true'",
    'null',
    '[true]',
    'request',
    'request.nonsense',
    'nonsense',
    '1 / 0 == 0',
    'int(request.commonName) == 1',
    'request.names[9] == "x"',
    'request.nonsense || false',
    "request.commonName.matches('(')",
    'request.unknownFunction()',
    'timestamp("never") == timestamp("never")',
  ])('%s never admits', async (expression) => {
    const rule = await compileRule(expression, 'the-rule');
    let thrown: unknown;
    try {
      rule.evaluate(variables);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(PolicyError);
    // What the device is told names the rule and nothing of its text; the cause has both.
    expect(thrown).toMatchObject({
      reason: 'policy-refused',
      message: 'the admission rule the-rule could not be evaluated',
    });
    expect(String((thrown as PolicyError).cause)).toContain(expression);
  });

  it.each([
    '',
    '(',
    'request.',
    "'open",
    'a b',
    'if (true) {}',
    'x = 1',
    '"\u0000',
    ' '.repeat(5000),
    `true${' && true'.repeat(1000)}`,
  ])('that does not parse or is too long is refused when it is written: %j', async (expression) => {
    await expect(compileRule(expression, 'r')).rejects.toThrow(
      expect.objectContaining({ name: 'PeerError', reason: 'malformed-request' }),
    );
  });

  it('may be as long as an operator can still read', async () => {
    expect((await compileRule(`true${' && true'.repeat(500)}`, 'r')).evaluate({})).toBe(true);
  });

  it('keeps nothing from one evaluation to the next', async () => {
    const rule = await compileRule("a == 'x'", 'r');
    expect([rule.evaluate({ a: 'x' }), rule.evaluate({ a: 'y' }), rule.evaluate({ a: 'x' })]).toEqual([
      true,
      false,
      true,
    ]);
    expect(() => rule.evaluate({})).toThrow(PolicyError);
  });

  it('of any text is refused at writing, or yields a boolean, or refuses', async () => {
    const word = fc.constantFrom(
      'request',
      '.',
      'commonName',
      '==',
      '(',
      ')',
      "'a'",
      '1',
      '&&',
      '||',
      '!',
      '[',
      ']',
      ',',
      'has',
      'in',
      '?',
      ':',
      ' ',
      'true',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string({ maxLength: 40 }),
          fc.array(word, { maxLength: 12 }).map((words) => words.join('')),
        ),
        async (text) => {
          try {
            expect(typeof (await compileRule(text, 'r')).evaluate(variables)).toBe('boolean');
          } catch (error) {
            expect(error).toMatchObject({ name: expect.stringMatching(/^(PeerError|PolicyError)$/) });
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
