import { createServer as createHttpServer, type Server, type ServerOptions } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Server as TlsServer } from 'node:tls';
import {
  fastify,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyServerFactory,
  type FastifyServerOptions,
  LogController,
} from 'fastify';
import { newId } from '../../core/store/id.ts';
import { answerClientError } from './client-error.ts';
import { limitConnectionsPerSource } from './connection-limit.ts';
import { DeviceResponse } from './device-response.ts';
import { type FaultRendering, renderFaults, sendFault } from './fault-rendering.ts';
import { answerUnknownRoutes } from './not-found.ts';
import type { Pressure } from './pressure.ts';
import { type Shortcut, Shortcuts } from './shortcut.ts';
import { secureContextOptions, type TlsIdentity, tlsServerOptions } from './tls-settings.ts';

/** The four doors: real clients need opposite things of them (README). */
export type ListenerName = 'plain' | 'mtls' | 'tls' | 'admin';

/** What a peer may take of a listener. */
export interface ListenerLimits {
  /** Largest request body. */
  readonly bodyBytes: number;
  /** Seconds for the request line and headers to arrive (V39). */
  readonly headersTimeoutSeconds: number;
  /** Seconds for the whole request to arrive. */
  readonly requestTimeoutSeconds: number;
  /** Seconds an idle connection is kept. */
  readonly keepAliveSeconds: number;
  /** Connections open at once, of all sources; 0: no limit. */
  readonly connections: number;
  /** Connections open at once of one source address; 0: no limit. */
  readonly connectionsPerSource: number;
}

/** What all listeners share. */
export interface ListenerContext {
  readonly logger: FastifyBaseLogger;
  readonly limits: ListenerLimits;
  readonly pressure: Pressure;
  /** Told of each answered request: the route's pattern (`unmatched` without one), never the path. */
  readonly observe: (request: ObservedRequest) => void;
}

/** One answered request, with bounded values only. */
export interface ObservedRequest {
  readonly listener: ListenerName;
  readonly route: string;
  readonly method: string;
  readonly status: number;
  readonly seconds: number;
}

/** An HTTP server whose routes are still to be registered, before `listen`. */
export interface Listener {
  readonly name: ListenerName;
  readonly app: FastifyInstance;
  /** Answers a path prefix on Node's server itself, before the framework sees the request. */
  shortcut(shortcut: Shortcut): void;
  /** Puts renewed certificates in force for new connections; does nothing on a listener without TLS. */
  renew(identity: TlsIdentity): void;
}

/** Request line and headers of a SCEP GET that carries a PKIOperation with an RSA-4096 chain (S4). */
const lenientHeaderBytes = 65_536;
const strictHeaderBytes = 16_384;

/** SCEP, CMP, OCSP, CRL and health: no Host header needed (S3), HTTP/1.0, 64 kB of URL. */
export function createPlainListener(context: ListenerContext): Listener {
  const options = {
    ...httpOptions(context.limits, lenientHeaderBytes),
    requireHostHeader: false,
    ServerResponse: DeviceResponse,
  };
  return createListener('plain', context, 'text', () => createHttpServer(options));
}

/** EST and CMP: asks for a client certificate, verifies none, resumes no session. */
export function createMutualTlsListener(context: ListenerContext, identity: TlsIdentity): Listener {
  return createDeviceTlsListener('mtls', context, identity, httpOptions(context.limits, strictHeaderBytes));
}

/**
 * SCEP over HTTPS, ACME, the attestation front door: never asks for a client certificate (S10), and is as lenient as the plain
 * one, because the same devices speak to it.
 */
export function createTlsListener(context: ListenerContext, identity: TlsIdentity): Listener {
  const lenient = { ...httpOptions(context.limits, lenientHeaderBytes), requireHostHeader: false };
  return createDeviceTlsListener('tls', context, identity, lenient);
}

/** REST, OpenAPI, metrics, dashboard. */
export function createAdminListener(context: ListenerContext, identity: TlsIdentity): Listener {
  const options = { ...httpOptions(context.limits, strictHeaderBytes), ...tlsServerOptions(identity, false) };
  return createListener('admin', context, 'problem', () => createHttpsServer(options));
}

function createDeviceTlsListener(
  name: 'mtls' | 'tls',
  context: ListenerContext,
  identity: TlsIdentity,
  http: ServerOptions,
): Listener {
  const options = {
    ...http,
    ...tlsServerOptions(identity, name === 'mtls'),
    ServerResponse: DeviceResponse,
  };
  return createListener(name, context, 'text', () => createHttpsServer(options));
}

function createListener(
  name: ListenerName,
  context: ListenerContext,
  rendering: FaultRendering,
  createServer: () => Server,
): Listener {
  const shortcuts = new Shortcuts({ listener: name, ...context });
  const app = fastify(fastifyOptions(context, rendering, shortcuts, createServer));
  // Devices send what they like as Content-Type (S7): each protocol says what it parses, nothing is parsed unasked.
  if (rendering === 'text') app.removeAllContentTypeParsers();
  renderFaults(app, rendering);
  answerUnknownRoutes(app, rendering);
  guardPressure(app, context.pressure);
  observeRequests(app, name, context.observe);
  closeConnectionsWhileStopping(app, shortcuts);
  return {
    name,
    app,
    shortcut: (shortcut) => shortcuts.add(shortcut),
    renew: (identity) => renewCertificates(app.server, identity),
  };
}

function fastifyOptions(
  context: ListenerContext,
  rendering: FaultRendering,
  shortcuts: Shortcuts,
  createServer: () => Server,
): FastifyServerOptions {
  const serverFactory: FastifyServerFactory = (handler) => {
    const server = createServer();
    if (context.limits.connections > 0) server.maxConnections = context.limits.connections;
    limitConnectionsPerSource(server, context.limits.connectionsPerSource);
    server.on('request', (request, response) => {
      if (!shortcuts.handle(request, response)) handler(request, response);
    });
    return server;
  };
  return {
    serverFactory,
    loggerInstance: context.logger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    genReqId: () => newId(),
    bodyLimit: context.limits.bodyBytes,
    clientErrorHandler: answerClientError,
    frameworkErrors: (error, request, reply) => void sendFault(error, request, reply, rendering),
    // Requests in flight on kept-alive connections are still served while we stop; the answer closes the connection.
    return503OnClosing: false,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 512 },
  };
}

function httpOptions(limits: ListenerLimits, maxHeaderSize: number): ServerOptions {
  return {
    maxHeaderSize,
    headersTimeout: Math.min(limits.headersTimeoutSeconds, limits.requestTimeoutSeconds) * 1000,
    requestTimeout: limits.requestTimeoutSeconds * 1000,
    keepAliveTimeout: limits.keepAliveSeconds * 1000,
    connectionsCheckingInterval: 1_000,
    noDelay: true,
  };
}

/** Routes with `config: { alwaysAnswers: true }` (health) are served however busy the node is. */
function guardPressure(app: FastifyInstance, pressure: Pressure): void {
  app.addHook('onRequest', (request, _reply, done) => {
    done(request.routeOptions.config.alwaysAnswers === true ? undefined : pressure.refusal());
  });
}

function observeRequests(app: FastifyInstance, listener: ListenerName, observe: ListenerContext['observe']): void {
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'unmatched';
    const seconds = reply.elapsedTime / 1000;
    observe({ listener, route, method: request.method, status: reply.statusCode, seconds });
    done();
  });
}

/** An answer given while we stop tells the client not to use the connection again: it would race with our close. */
function closeConnectionsWhileStopping(app: FastifyInstance, shortcuts: Shortcuts): void {
  let stopping = false;
  app.addHook('preClose', (done) => {
    stopping = true;
    shortcuts.stop();
    done();
  });
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (stopping) void reply.header('connection', 'close');
    done();
  });
}

function renewCertificates(server: Server, identity: TlsIdentity): void {
  if ('setSecureContext' in server) (server as Server & TlsServer).setSecureContext(secureContextOptions(identity));
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Served even while the event loop is too late. */
    alwaysAnswers?: boolean;
  }
}
