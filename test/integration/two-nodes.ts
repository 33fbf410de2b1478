import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openPostgres } from '../../core/store/postgres-store.ts';
import type { Store } from '../../core/store/store.ts';
import type { Credential, Fault } from '../support/crashing-server.ts';
import { PRIVATE_SETTINGS, ServerChild } from '../support/server-child.ts';
import { askUntilIssued, type DeviceRequest, type Door, newRequest, openDoor } from './est-fleet.ts';

/** The two nodes. */
export type NodeName = 'a' | 'b';

/** Devices that ask at the same time, and how long each rests after a certificate. */
const DEVICES = 64;
const REST_MS = 150;
const DEATH_LIMIT_MS = 60_000;

/** What both nodes share. */
export interface SharedParts {
  readonly folder: string;
  readonly postgresUrl: string;
  readonly redisUrl: string;
}

/** Two server processes over one database, one Redis, one token, and the devices that ask them. */
export class TwoNodes implements AsyncDisposable {
  /** The database as a bystander sees it. */
  readonly store: Store;
  /** Everything that was ever asked. */
  readonly requests: DeviceRequest[] = [];
  readonly #parts: SharedParts;
  readonly #nodes = new Map<NodeName, { readonly server: ServerChild; readonly door: Door }>();
  readonly #oneTime: Credential[] = [];
  #device: Credential | undefined;
  #answered = 0;
  #asking = true;

  private constructor(store: Store, parts: SharedParts) {
    this.store = store;
    this.#parts = parts;
  }

  /** Starts both, one after the other: the first makes the token and the authorities. */
  static async open(parts: SharedParts): Promise<TwoNodes> {
    const nodes = new TwoNodes(await openPostgres({ url: parts.postgresUrl }), parts);
    try {
      await nodes.start('a');
      await nodes.start('b');
      return nodes;
    } catch (error) {
      await nodes[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Certificates that devices got so far. */
  get answered(): number {
    return this.#answered;
  }

  /** Starts a node that does not run. */
  async start(name: NodeName): Promise<void> {
    const { folder, postgresUrl, redisUrl } = this.#parts;
    const settings = { ...PRIVATE_SETTINGS, MUSTER_STORE_URL: postgresUrl, MUSTER_REDIS_URL: redisUrl };
    const server = ServerChild.start({ dataFolder: join(folder, 'data'), settings, oneTimePasswords: 32 });
    try {
      const { mtlsPort, rootCertificate, device, oneTime } = await server.ready();
      this.#device ??= device;
      this.#oneTime.push(...oneTime);
      this.#nodes.set(name, { server, door: openDoor(mtlsPort, await readFile(rootCertificate, 'utf8'), DEVICES) });
    } catch (error) {
      server.kill();
      throw error;
    }
  }

  /** Devices ask, anew after each certificate, at whichever node answers; resolves when all that was asked is answered. */
  async load(): Promise<void> {
    const doors = (): Door[] => [...this.#nodes.values()].map(({ door }) => door);
    const ask = async (): Promise<void> => {
      while (this.#asking) {
        const request = newRequest(this.#oneTime.pop() ?? this.#device!);
        this.requests.push(request);
        await askUntilIssued(doors, request);
        this.#answered += 1;
        await delay(REST_MS);
      }
    };
    await Promise.all(Array.from({ length: DEVICES }, ask));
  }

  /** Lets the devices ask no more; what they asked is still answered. */
  stopAsking(): void {
    this.#asking = false;
  }

  /** Kills a node at a fault point, or without one soon, and waits until it is dead. Its devices go to the other. */
  async kill(name: NodeName, fault: Fault | undefined): Promise<ServerChild> {
    const { server, door } = this.#nodes.get(name)!;
    if (fault) server.arm(fault);
    const afterMs = fault ? DEATH_LIMIT_MS : 200 + Math.random() * 800;
    const kill = setTimeout(() => server.kill(), afterMs);
    const start = performance.now();
    await server.ended;
    clearTimeout(kill);
    this.#nodes.delete(name);
    door.agent.destroy();
    if (fault && performance.now() - start >= DEATH_LIMIT_MS) throw new FaultNotReached(`node ${name}: ${fault.point}`);
    return server;
  }

  /** Stops both gracefully. */
  async stop(): Promise<void> {
    for (const [name, { server, door }] of this.#nodes) {
      door.agent.destroy();
      const { code } = await server.stop();
      this.#nodes.delete(name);
      if (code !== 0) throw new FaultNotReached(`node ${name} ended with ${code}: ${server.output}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#asking = false;
    for (const { server } of this.#nodes.values()) server.kill();
    await this.store.close();
  }
}

class FaultNotReached extends Error {}
