/**
 * Something the administrator wrote cannot be used. Every problem found is listed, one line each, so that one start
 * shows them all; none holds a secret.
 */
export class ConfigurationError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(problems.join('\n'), options);
    this.name = 'ConfigurationError';
    this.problems = problems;
  }
}
