import { describe, expect, it } from 'vitest';

import { Turnstile } from '../../core/enrollment/turnstile.ts';
import { UpstreamError } from '../../core/errors/muster-error.ts';

/** Work that ends when it is told to, and a record of who was let in, in order. */
class Visitors {
  readonly clock = { time: 1_000_000, now: () => this.clock.time };
  readonly turnstile = new Turnstile(this.clock);
  readonly inside: string[] = [];
  readonly #endings: (() => void)[] = [];

  arrive(tenant: string): Promise<void> {
    return this.turnstile.pass(tenant, () => {
      this.inside.push(tenant);
      return new Promise((resolve) => this.#endings.push(resolve));
    });
  }

  async endFirst(): Promise<void> {
    this.#endings.shift()?.();
    await settled();
  }

  count(tenant: string): number {
    return this.inside.filter((name) => name === tenant).length;
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the turnstile', () => {
  it('lets one tenant fill the hall while it is alone, and no further', async () => {
    const visitors = new Visitors();
    for (let index = 0; index < 100; index++) void visitors.arrive('a');
    await settled();
    expect(visitors.inside).toHaveLength(64);
    await visitors.endFirst();
    expect(visitors.inside).toHaveLength(65);
  });

  it('lets a newcomer in before what the flooding tenant has waiting', async () => {
    const visitors = new Visitors();
    for (let index = 0; index < 200; index++) void visitors.arrive('flood');
    void visitors.arrive('quiet');
    await settled();
    expect(visitors.count('quiet')).toBe(0);
    await visitors.endFirst();
    expect(visitors.inside.at(-1)).toBe('quiet');
  });

  it('leaves a flooding tenant four places while another is there, and all of them when it has gone', async () => {
    const visitors = new Visitors();
    void visitors.arrive('quiet');
    for (let index = 0; index < 100; index++) void visitors.arrive('flood');
    await settled();
    expect(visitors.count('flood')).toBe(4);
    await visitors.endFirst();
    expect(visitors.count('flood')).toBe(4);
    visitors.clock.time += 10_001;
    await visitors.endFirst();
    expect(visitors.count('flood')).toBe(65);
  });

  it('refuses what would wait behind a thousand others of its tenant, and nobody else', async () => {
    const visitors = new Visitors();
    for (let index = 0; index < 64 + 1024; index++) void visitors.arrive('flood');
    await expect(visitors.arrive('flood')).rejects.toThrow(UpstreamError);
    void visitors.arrive('quiet');
    await visitors.endFirst();
    expect(visitors.inside.at(-1)).toBe('quiet');
  });

  it('gives a place away while its holder waits outside, and back afterwards', async () => {
    const visitors = new Visitors();
    let back: () => void = () => undefined;
    const waiting = visitors.turnstile.pass('a', () =>
      visitors.turnstile.stepOutside('a', () => new Promise<void>((resolve) => (back = resolve))),
    );
    for (let index = 0; index < 65; index++) void visitors.arrive('a');
    await settled();
    expect(visitors.inside).toHaveLength(64);
    back();
    await visitors.endFirst();
    await visitors.endFirst();
    await waiting;
    await settled();
    expect(visitors.inside).toHaveLength(65);
  });
});
