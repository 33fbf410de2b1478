import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import type { CaaRecord } from '../../core/outside/resolver.ts';
import { outsideResolver } from '../../core/outside/resolver.ts';
import { type CaaSubject, objection, requireCaa } from '../../protocols/acme/caa.ts';
import { AcmeProblem } from '../../protocols/acme/problem.ts';
import { DnsServer } from '../fakes/dns-server.ts';

const ACCOUNT = 'https://muster.example/acme/default/account/1';
const OWN = ['ca.example', 'CA.other.example'];

/** Over real questions to a name server of our own. */
describe('CAA (AC-35, RFC 8659, RFC 8657)', () => {
  let dns: DnsServer;

  beforeAll(async () => {
    dns = await DnsServer.start();
  });
  afterAll(() => dns?.[Symbol.asyncDispose]());
  beforeEach(() => {
    dns.caa.clear();
    dns.asked.length = 0;
  });

  async function verdict(name: string, method: CaaSubject['method'] = 'http-01'): Promise<string> {
    const resolver = outsideResolver([dns.address]);
    const wildcard = name.startsWith('*.');
    const identifier = { type: 'dns', value: name } as const;
    const subject = { identifier, name: wildcard ? name.slice(2) : name, wildcard, method, accountUrl: ACCOUNT };
    try {
      await requireCaa((asked) => resolver.caa(asked, AbortSignal.timeout(5000)), OWN, [subject]);
      return 'issues';
    } catch (error) {
      expect(error).toBeInstanceOf(AcmeProblem);
      const { type, details } = error as AcmeProblem;
      expect(details.subproblems).toMatchObject([{ type, identifier }]);
      return type;
    }
  }

  it.each<readonly [string, readonly string[], string, string]>([
    ['no records', [], 'r1.branch.example', 'issues'],
    ['our name', ['issue ca.example'], 'r1.branch.example', 'issues'],
    ['our other name, in other case', ['issue cA.OTHER.example'], 'r1.branch.example', 'issues'],
    ['one of several', ['issue elsewhere.example', 'issue ca.example'], 'r1.branch.example', 'issues'],
    ['somebody else', ['issue elsewhere.example'], 'r1.branch.example', 'caa'],
    ['nobody', ['issue ;'], 'r1.branch.example', 'caa'],
    ['reports alone', ['iodef mailto:noc@example'], 'r1.branch.example', 'issues'],
    ['something critical that nobody knows', ['!tbs x'], 'r1.branch.example', 'caa'],
    ['something else that nobody knows', ['tbs x', 'issue ca.example'], 'r1.branch.example', 'issues'],
    ['critical issue', ['!issue ca.example'], 'r1.branch.example', 'issues'],
    ['nobody for wildcards', ['issue ca.example', 'issuewild ;'], '*.branch.example', 'caa'],
    ['nobody for wildcards, and a name', ['issue ca.example', 'issuewild ;'], 'r1.branch.example', 'issues'],
    ['issue for a wildcard', ['issue ca.example'], '*.branch.example', 'issues'],
    ['us for wildcards alone', ['issue ;', 'issuewild ca.example'], '*.branch.example', 'issues'],
    ['this account', [`issue ca.example; accounturi=${ACCOUNT}`], 'r1.branch.example', 'issues'],
    ['another account', [`issue ca.example; accounturi=${ACCOUNT}2`], 'r1.branch.example', 'caa'],
    ['this method', ['issue ca.example; validationmethods=dns-01,http-01'], 'r1.branch.example', 'issues'],
    ['another method', ['issue ca.example; validationmethods=dns-01'], 'r1.branch.example', 'caa'],
    ['a parameter nobody knows', ['issue ca.example; foo=bar;'], 'r1.branch.example', 'issues'],
    ['no grammar', ['issue ca.example; accounturi'], 'r1.branch.example', 'caa'],
  ])('%s at the zone', async (_what, records, name, expected) => {
    dns.caa.set('branch.example', records);
    expect(await verdict(name)).toBe(expected);
  });

  it('takes the nearest records, and asks no further', async () => {
    dns.caa.set('example', ['issue elsewhere.example']);
    dns.caa.set('branch.example', ['issue ca.example']);
    expect(await verdict('a.r1.branch.example')).toBe('issues');
    expect(dns.asked).toEqual(['CAA a.r1.branch.example', 'CAA r1.branch.example', 'CAA branch.example']);
  });

  it('follows aliases', async () => {
    dns.aliases.set('r1.branch.example', 'host.example');
    dns.caa.set('host.example', ['issue elsewhere.example']);
    expect(await verdict('r1.branch.example')).toBe('caa');
  });

  it('lets a name that a key vouches for pass where no method is asked for', async () => {
    dns.caa.set('branch.example', ['issue ca.example']);
    expect(await verdict('r1.branch.example', undefined)).toBe('issues');
    dns.caa.set('branch.example', ['issue ca.example; validationmethods=dns-01']);
    expect(await verdict('r1.branch.example', undefined)).toBe('caa');
  });

  it('issues nothing when nobody can say', async () => {
    const lookup = (): Promise<readonly CaaRecord[]> =>
      outsideResolver(['127.0.0.1:9']).caa('x', AbortSignal.timeout(50));
    const identifier = { type: 'dns', value: 'r1.example' } as const;
    const subject = { identifier, name: 'r1.example', wildcard: false, method: 'dns-01', accountUrl: ACCOUNT } as const;
    await expect(requireCaa(lookup, OWN, [subject])).rejects.toMatchObject({ type: 'dns' });
  });

  it('of any text permits or does not', () => {
    const record = fc.record({
      critical: fc.boolean(),
      tag: fc.constantFrom('issue', 'issuewild', 'x'),
      value: fc.string(),
    });
    const property = fc.property(fc.array(record, { maxLength: 5 }), fc.boolean(), (records, wildcard) => {
      const found = objection(records, new Set(OWN), { wildcard, method: 'dns-01', accountUrl: ACCOUNT });
      if (records.some(({ tag }) => tag === 'issue') && found === undefined && !wildcard)
        expect(records.some(({ value }) => value.trim().startsWith('ca.'))).toBe(true);
    });
    fc.assert(property, { numRuns: 300 });
  });
});
