import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../core/keys/secret.ts';

describe('Secret', () => {
  const secret = new Secret('correct horse');

  it('prints as asterisks, however it is printed', () => {
    const ways = [
      String(secret),
      ['pin:', secret].join(' '),
      JSON.stringify({ secret }),
      inspect({ secret }, { showHidden: true, depth: 5 }),
    ];
    for (const printed of ways) {
      expect(printed).toContain('***');
      expect(printed).not.toContain('horse');
    }
    expect(Object.values(secret)).toEqual([]);
    expect(() => structuredClone(secret)).not.toThrow();
    expect(JSON.stringify(structuredClone(secret))).not.toContain('horse');
  });

  it('reveals itself to who asks', () => {
    expect(secret.reveal()).toBe('correct horse');
  });

  it('makes random ones of 128 bits that any console can type', () => {
    const made = new Set(Array.from({ length: 100 }, () => Secret.random().reveal()));
    expect(made.size).toBe(100);
    for (const text of made) expect(text).toMatch(/^[A-Za-z0-9_-]{22}$/);
  });
});
