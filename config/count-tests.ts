import { readFileSync } from 'node:fs';

/** Prints the closing line of a test run from vitest's JSON report; fails when nothing ran or anything failed. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numFailedTestSuites: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
}

const report = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as Report;
const failed = Math.max(report.numFailedTests, report.numFailedTestSuites > 0 ? 1 : 0);
const skipped = report.numPendingTests + report.numTodoTests;
console.log(`${report.numPassedTests} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed > 0 || report.numPassedTests === 0 ? 1 : 0);
