import { Client } from 'pg';
import { inject } from 'vitest';

/** Makes an empty database on this run's cluster and returns its URL. Each test file takes its own. */
export async function freshDatabase(): Promise<string> {
  const admin = new Client({ connectionString: inject('postgresUrl') });
  await admin.connect();
  try {
    const name = `t${crypto.randomUUID().replaceAll('-', '')}`;
    await admin.query(`create database ${name}`);
    const url = new URL(inject('postgresUrl'));
    url.pathname = `/${name}`;
    return url.href;
  } finally {
    await admin.end();
  }
}
