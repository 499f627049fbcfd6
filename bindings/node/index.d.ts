/// <reference types="node" />

import { EventEmitter } from 'events';
import { Server as NetServer, Socket } from 'net';

/** The version of this package. */
export const version: string;

/** How a call ended that failed: `APP_ERROR`, the service ran and failed; `NOT_DONE`, guaranteed not executed;
 * `UNKNOWN`, it may have been executed. */
export type Outcome = 'APP_ERROR' | 'NOT_DONE' | 'UNKNOWN';

/** The codes of the library's own errors. A service may give any other. */
export type ErrorCode =
  | 'CLOUDS_INVALID_ARGUMENT'
  | 'CLOUDS_OUT_OF_MEMORY'
  | 'CLOUDS_CLOSED'
  | 'CLOUDS_STALE_ID'
  | 'CLOUDS_BAD_ARGUMENT'
  | 'CLOUDS_BAD_HANDLE'
  | 'CLOUDS_WRONG_THREAD'
  | 'CLOUDS_REENTERED'
  | 'CLOUDS_AFTER_FORK'
  | 'CLOUDS_LIMIT_REACHED'
  | 'CLOUDS_TOO_BIG'
  | 'CLOUDS_INVALID_JSON'
  | 'CLOUDS_INVALID_URL'
  | 'CLOUDS_INVALID_OPTION'
  | 'CLOUDS_CALL_SERVICE_TIMEOUT'
  | 'CLOUDS_NO_AVAILABLE_SERVER'
  | 'CLOUDS_SERVICE_ERROR'
  | 'CLOUDS_NO_SUCH_METHOD'
  | 'CLOUDS_EXPIRED'
  | 'CLOUDS_UNREACHABLE'
  | 'CLOUDS_CONNECTION_LOST'
  | 'CLOUDS_CANCELED'
  | 'CLOUDS_OVERLOADED'
  | 'CLOUDS_DRAINING'
  | 'CLOUDS_REDIS_ERROR'
  | 'CLOUDS_AUTH_FAILED'
  | 'CLOUDS_PROTOCOL_ERROR'
  | 'CLOUDS_SYSTEM_ERROR'
  | 'CLOUDS_NOT_SUPPORTED'
  | 'CLOUDS_EXISTS';

/** What a call, or anything else that was asked of the library, ends with when it fails. */
export class CloudsError extends Error {
  /** The service's own code, or one of the library's; `CLOUDS_SERVICE_ERROR` when a service gave none. */
  code: ErrorCode | (string & {});
  readonly outcome: Outcome;
  /** May it be repeated without doing anything twice? */
  readonly retryable: boolean;
  /** The values that a service sent beside the error, if any. */
  readonly values?: unknown[];
  /** What it is about, where that is known: the method, the server that was asked last, the node of ours, the cluster. */
  readonly method?: string;
  readonly server?: string;
  readonly node?: string;
  readonly cluster?: string;
  /** How large or how many it was, and what is possible. */
  readonly size?: number;
  readonly limit?: number;
  /** Why a server is busy: 'rate', 'queue', 'age' or 'concurrency'. */
  readonly reason?: string;
  /** Seconds after which it is worth to ask it again. */
  readonly retry_after?: number;
  /** Of a call that was given up, the reason of its AbortSignal; else what the library says where `message` is that of npm
   * clouds, or the last known reason of a wait that ended. */
  cause?: unknown;
  /** All members that a service sent, as they came; those named like members of the class are only here. */
  readonly members?: { [member: string]: unknown };
  /** Further members that the service sent. */
  [member: string]: unknown;
}

/** A Redis server, in the words of the original and of ioredis. Members with which ioredis tunes its client are taken and
 * change nothing; all others are refused. */
export interface RedisOptions {
  /** redis://..., rediss://..., redis+unix://... */
  url?: string | URL;
  /** Default: 127.0.0.1. */
  host?: string;
  /** Default: 6379. */
  port?: number | string;
  /** A unix socket instead of host and port. */
  path?: string;
  db?: number | string;
  /** What the names of keys and channels begin with. Default: clouds. */
  prefix?: string;
  username?: string;
  password?: string;
  /** The same as `password`. */
  auth_pass?: string;
  /** Instead of a host: who knows where the master is that is called `name`. Default: 127.0.0.1, port 26379. */
  sentinels?: { host?: string; port?: number | string }[];
  name?: string;
  /** Who we are for the sentinels, if not who we are for Redis. */
  sentinelUsername?: string;
  sentinelPassword?: string;
  /** TLS, as `rediss://` in an address. Certificates and keys are files: the options `caFile`, `certFile`, `certKeyFile` of the node. */
  tls?: boolean | { servername?: string; rejectUnauthorized?: boolean };
  /** With sentinels both, beside `tls`: TLS is for the sentinels and for Redis. */
  sentinelTLS?: RedisOptions['tls'];
  enableTLSForSentinelMode?: boolean;
}

/** A transport of your own in the place of Redis. The keys it is given have no prefix. */
export interface Connection {
  setId(id: string): void;
  registerKey(key: string, ttl: number, callback: (error: unknown, key?: string) => void): void;
  deleteKey(key: string, callback: (error: unknown, key?: string) => void): void;
  deleteKeys(keys: string[], callback: (error: unknown, keys?: string[]) => void): void;
  /** The keys that match a pattern in which `*` stands for anything. */
  keys(pattern: string, callback: (error: unknown, keys?: string[]) => void): void;
  send(receiver: string, text: string, callback: (error: unknown, receivers?: number) => void): void;
  exit(callback: () => void): void;
  on(event: 'message', listener: (text: string) => void): unknown;
  on(event: 'listen', listener: () => void): unknown;
}

/** Options of every node. Those of docs/CONFIGURATION.md are taken, too, written like `maxMessage`. */
export interface NodeOptions {
  /** Where to: `redis://...`, `rediss://...`, `redis+unix://...`, `etcd://...`, `local:[name]`, `inproc:[name]`. Default: what `redis` says, else
   * the environment's CLOUDS_URL, else `redis://127.0.0.1:6379`. */
  url?: string | URL;
  /** Or, as ioredis takes it: an address, a port, the path of a socket. */
  redis?: RedisOptions | string | number | URL;
  /** Replaces the transport. */
  connection?: Connection;
  /** The id of the node, without ':' and glob characters. Default: a generated one. */
  id?: string;
  /** Seconds for one attempt of a call. Default: 60. */
  timeout?: number;
  /** Seconds for a whole call. Default: what its attempts and the waits between them can take. */
  deadline?: number;
  /** Further attempts after a timeout, or when no server is there. Default: 0. */
  retry?: number;
  /** Seconds between renewals of the registrations, which live twice as long. Default: 5. */
  heartbeat?: number;
  /** Seconds until a list of servers is forgotten. Default: 60. */
  serverMaxAge?: number;
  /** Longest wait, in seconds, of register, unregister, send with an answer, status and ready. Default: 10. */
  operationTimeout?: number;
  /** Which lines of the library's log are shown: see the event 'log'. Default: warn, or debug when DEBUG asks for it. */
  logLevel?: 'debug' | 'info' | 'warn' | 'error' | 'off';
  /** Leave the registration of a server alone that did not answer in time. */
  notAutoCleanRemoteServer?: boolean;
  [option: string]: unknown;
}

/** Options that can change while a node lives. Those that docs/CONFIGURATION.md marks as such are taken, too, written like
 * `drainTimeout`. */
export interface LiveOptions {
  timeout?: number;
  deadline?: number;
  retry?: number;
  serverMaxAge?: number;
  operationTimeout?: number;
  /** How many calls the node takes as a server, beside those of weight 1. */
  weight?: number;
  [option: string]: string | number | boolean | undefined;
}

export interface BaseOptions extends NodeOptions {
  /** A word whose first letter begins the id. Default: base. */
  type?: string;
}

/** Options of one call. Times are in seconds; 0 is the node's own. */
export interface CallOptions {
  /** For one attempt. */
  timeout?: number;
  /** For the whole call. */
  deadline?: number;
  /** Further attempts after a timeout, or when no server is there. */
  retry?: number;
  /** The id of the only server to ask. */
  server?: string;
  /** Gives the call up: it fails with an AbortError whose code is `CLOUDS_CANCELED`. */
  signal?: AbortSignal;
  /** The request on whose behalf it is made: the call has the time that is left for that. A server that leaves may still
   * make such calls. */
  parent?: Request;
  /** Goes along with the call. What its handler calls has it too, but for names that begin with '-'. */
  meta?: Record<string, unknown>;
  /** Calls with the same key go to the same server. */
  key?: string;
  /** An idempotency key, up to 255 bytes: a server runs a call with it once at most, and who repeats it gets the same answer. */
  once?: string;
  /** Seconds after which a second server is asked, too; below 0: after what 95 of 100 calls of the method take. Needs `once` or
   * `idempotent`. */
  hedge?: number;
  /** It may be executed twice. */
  idempotent?: boolean;
  /** When the call has ended, `server` in it is the id of who answered, or of who was asked last. */
  about?: { server?: string };
  /** A topic at which the answer is published, `{ result: [...] }` or `{ error: {...} }`; the call ends as a notification does. */
  replyTo?: string;
  /** What the answer has as "in-reply-to" in its meta. */
  correlation?: string;
}

/** The promise is for the list of all values that the service gave. */
export interface CallAllOptions extends CallOptions {
  all: true;
}

/** Runs before every attempt, the first included: gets the arguments and a function that goes on, with the arguments
 * of this attempt. */
export type OnRetry = (...argsAndGo: any[]) => void;

export interface BindOptions extends CallOptions {
  onRetry?: OnRetry;
}

/** Gets null or the error, then the values. Values may come beside an error. */
export type Callback = (error: CloudsError | null, ...values: any[]) => void;

/** A direct link to another process. */
export interface Link {
  /** The name of the context at the other end; over local: the id of a node. */
  peer: string;
  /** Our end, named in the same way. */
  here: string;
  /** Calls go from here to there; else they come by it. */
  ours: boolean;
  state: 'dialling' | 'open' | 'ending' | 'resting';
  /** Who is known to live there. */
  nodes?: string[];
  address?: string;
  security?: 'tls' | 'user' | 'none';
  /** Calls by it that were not answered yet. */
  in_flight?: number;
  /** Bytes that wait to be written. */
  unwritten?: number;
  /** Seconds since it opened, or is dialled. */
  age?: number;
  /** Seconds for which one that failed is not dialled again. */
  for?: number;
  /** Why the last one of ours that went there failed or broke. */
  error?: string;
  /** The question came by it: of what another node was asked. */
  asked?: boolean;
}

/** Calls, or requests, of one method. */
export interface Tally {
  /** How many have not ended. */
  open: number;
  /** Requests that wait for their turn, which are not among them. */
  waiting?: number;
  /** How many requests may be open at a time now, where there is such a limit. */
  limit?: number;
  ok: number;
  app_error: number;
  /** Of requests also those that were refused at once. */
  not_done: number;
  unknown: number;
  /** How many took no longer than each of the bounds, and longer than the one before; at the end: longer than all. */
  took: number[];
  /** What these took together. */
  seconds: number;
  /** How long requests had waited that began, where a method has limits. */
  queue?: { seconds: number; took: number[] };
  /** Requests that were refused, by reason; those that there were. */
  refused?: { [reason: string]: number };
}

/** What was counted by method. */
export interface Stats {
  /** Seconds, rising. */
  bounds: number[];
  /** Past 500 methods all others are the one called "other". */
  methods: { [method: string]: { calls?: Tally; requests?: Tally } };
}

/** Who serves what. */
export interface Status {
  /** By the id of a server: its methods. */
  servers: { [id: string]: string[] };
  /** By method: the ids of its servers. */
  methods: { [method: string]: string[] };
  /** Of servers that say something of themselves: their paused methods, weight and tags. */
  states?: { [id: string]: { paused: string[]; weight: number; tags: { [name: string]: string } } };
  /** By method: servers that are not well, as calls from here have found. */
  seen?: { [method: string]: { [id: string]: 'avoided' | 'busy' | 'open' | 'probing' } };
  /** The nodes of this context that are paused, drain or have limits. */
  own?: { [id: string]: { state: 'ready' | 'paused' | 'draining'; methods: { [method: string]: OwnMethod } } };
}

export interface OwnMethod {
  paused: boolean;
  running?: number;
  waiting?: number;
  /** The one of now, where it is found (`adaptive`). */
  concurrency?: number;
  queue?: number;
  adaptive?: true;
  /** Seconds that requests take, and that they take where they do not wait for each other. */
  latency?: number;
  unqueued?: number;
  rate?: number;
  burst?: number;
  tokens?: number;
}

/** Who would be called for a method, and why. */
export interface Explanation {
  method: string;
  bus: 'up' | 'down';
  balance: string;
  /** Such as `zone=a`, when the node prefers. */
  prefer?: string;
  choice: {
    /** Who is asked next, unless chance, the arguments or the program decide. */
    server?: string;
    /** Of which servers one is taken. */
    rule: 'near' | 'well' | 'any' | 'none' | 'find_server';
    among: number;
  };
  /** In the order of their turns. */
  servers: ExplainedServer[];
}

export interface ExplainedServer {
  id: string;
  state: 'well' | 'avoided' | 'busy' | 'open' | 'probing' | 'paused';
  /** Seconds until it is asked again by itself. */
  for?: number;
  route: 'link' | 'bus';
  address: string;
  breaker: 'closed' | 'open' | 'probing';
  in_flight: number;
  /** Seconds that the method took there lately. */
  latency?: number;
  /** Timeouts in a row. */
  strikes: number;
  /** How many seconds ago a call timed out or was lost there. */
  last_failure?: number;
  weight: number;
  tags: { [name: string]: string };
  /** It has the tag that the node prefers. */
  near: boolean;
}

/** A message as a handler named `message.<type>` gets it. */
export interface Message {
  type: string;
  sender: string;
  data: any;
  raw: string;
}

/** The request being served: `this` of its handler. */
export interface Request {
  readonly id: unknown;
  readonly method: string;
  /** The id of the calling node. */
  readonly caller: string;
  /** Seconds until the caller gives up; null when it did not say. */
  timeLeft(): number | null;
  /** May it still be answered? Not when it was, or its deadline has passed; see also `signal`. */
  open(): boolean;
  /** Aborted when the caller gives up, or its deadline passes. Its reason has the code CLOUDS_CANCELED. */
  readonly signal: AbortSignal;
  /** What came along with the call. */
  readonly meta: Record<string, any>;
  /** The id of the trace that it is part of; '' when it is in none. */
  readonly trace: string;
}

/** What a node answers that is asked; from `methods` on by what was asked. */
export interface Answer {
  id: string;
  version: string;
  pid: number;
  state: 'ready' | 'draining';
  paused: boolean;
  methods?: { [name: string]: { paused: boolean } };
  requests?: number;
  calls?: number;
  counters?: { [name: string]: number };
  links?: Link[];
  host?: string;
  uptime?: number;
  counts?: boolean;
  type?: string;
  weight?: number;
  tags?: { [name: string]: string };
}

/** Of register, unregister, send, status, ask and ready. */
export interface WaitOptions {
  /** Longest wait, in seconds; then it ends with the last known reason. Default: the node's `operationTimeout`. */
  timeout?: number;
}

/** Of register: the limits of a method. What they refuse was not begun, and its caller's error is CLOUDS_OVERLOADED. */
export interface RegisterOptions extends WaitOptions {
  /** One request at a time, in the order in which they come. */
  serial?: boolean;
  /** Requests with the same value of this argument, from 0 on, one at a time and in order. */
  key?: number;
  /** Requests that run at a time; 'auto': as many as the server finds to be of use. */
  concurrency?: number | 'auto';
  /** Requests that may wait. Default: 1000. */
  queue?: number;
  /** Seconds that a request waits at most. Default: 0.1 with a concurrency, else no limit (Infinity). */
  queueAge?: number;
  /** The same, once the queue was not empty for `queueAge`. Default: 0.005. */
  queueTarget?: number;
  /** Requests a second. */
  rate?: number;
  /** How many may come at once. Default: `rate`. */
  burst?: number;
  /** The same for each node that calls. */
  callerRate?: number;
  callerBurst?: number;
  /** What the method is for. */
  doc?: string;
  /** What it takes: 'name: type', ['name', type] or ['name', type, 'what it is'] for each argument, or JSON Schema of the
   * array. Calls with other arguments end with CLOUDS_BAD_ARGUMENT. */
  args?: readonly (string | readonly unknown[])[] | { [keyword: string]: unknown };
  /** What it gives: a type, a type for each result, or JSON Schema of the array. */
  returns?: string | readonly unknown[] | { [keyword: string]: unknown };
}

/** What was published, and what goes with it. */
export interface Published {
  value: any;
  topic: string;
  /** The id of the node that published it. */
  sender: string;
  /** Messages of this sender at this topic that are missing before it. */
  missed: number;
  /** Some of them were dropped here, since they were not taken in time. */
  lagged: boolean;
  /** Its number within sender and topic, from 1; 0: it has none. */
  sequence: number;
  meta: { [name: string]: any } | null;
}

export interface PublishOptions extends WaitOptions {
  /** Goes along with the value. */
  meta?: { [name: string]: unknown };
}

export interface WatchOptions {
  /** One list of values when there is one for each topic. */
  all?: boolean;
  /** Of the members of a group one gets each message; topics only, no patterns. */
  group?: string;
  /** Messages that may wait; then the oldest is dropped. Default: 1024. */
  queue?: number;
  /** The same for the bytes of their texts. Default: 8 MB. */
  queueBytes?: number;
}

export interface SubscribeOptions extends WatchOptions, WaitOptions {
  /** What comes is dropped when the queue is full, and not the oldest. */
  keepOldest?: boolean;
}

export interface Subscription {
  readonly topics: readonly string[];
  readonly closed: boolean;
  /** Ends it: nothing of it comes any more. */
  close(): void;
}

/** The messages of a subscription, one after the other. It ends with its node, by `close`, and when the loop is left. */
export interface Watch extends Subscription, AsyncIterableIterator<Published> {}

/** A line of the library's log. */
export interface LogLine {
  message: string;
  method?: string;
  request?: string | number;
  caller?: string;
  node?: string;
}

export interface ExitOptions {
  /** Seconds that accepted requests have to be answered. Default: 8. */
  drain?: number;
}

/** A node: one identity on the bus. */
export class Base extends EventEmitter {
  constructor(options?: BaseOptions | string);

  readonly id: string;

  /** Is it connected to its cluster now? */
  readonly connected: boolean;

  /** Calls `method`; `args` are its arguments. Without a callback it gives a promise for the first value. */
  call<T = any>(method: string, args?: readonly unknown[], options?: CallOptions): Promise<T>;
  call<T extends any[] = any[]>(method: string, args: readonly unknown[], options: CallAllOptions): Promise<T>;
  call(method: string, args: readonly unknown[], callback: Callback): this;
  call(method: string, args: readonly unknown[], options: CallOptions | undefined, callback: Callback): this;

  /** Calls for a promise. */
  /** Calls, and wants no answer: fulfilled when one server has the call, which executes it once at most. */
  notify(method: string, args?: readonly unknown[], options?: CallOptions): Promise<void>;
  callP<T extends any[] = any[]>(method: string, args: readonly unknown[], options: CallAllOptions): Promise<T>;
  callP<T = any>(method: string, args?: readonly unknown[], options?: CallOptions): Promise<T>;

  /** A function of the method's arguments and a callback. */
  bind(method: string, retry?: number | BindOptions, onRetry?: OnRetry): (...argsAndCallback: any[]) => void;

  /** A function of the method's arguments that gives a promise. */
  bindP<A extends any[] = any[], T = any>(
    method: string,
    retry?: number | BindOptions,
    onRetry?: OnRetry
  ): (...args: A) => Promise<T>;

  /** Sends a value to another node; there is no answer. The callback gets the number of nodes that received it; -1 when that is unknown. */
  send(receiver: string, message: unknown, callback?: (error: CloudsError | null, receivers?: number) => void): this;
  send(
    receiver: string,
    message: unknown,
    options: WaitOptions | undefined,
    callback: (error: CloudsError | null, receivers?: number) => void
  ): this;
  sendP(receiver: string, message: unknown, options?: WaitOptions): Promise<number>;

  /** Publishes a value at a topic: everybody who has subscribed to it gets it, at most once each. The callback gets how
   * many got it; -1 when that is unknown. Without one, what was refused is a warning of the process. */
  publish(topic: string, value: unknown, callback: (error: CloudsError | null, receivers?: number) => void): this;
  publish(
    topic: string,
    value: unknown,
    options?: PublishOptions,
    callback?: (error: CloudsError | null, receivers?: number) => void
  ): this;
  publishP(topic: string, value: unknown, options?: PublishOptions): Promise<number>;

  /** Calls a function with what is published at topics and patterns (`*` is one token, `>` at the end one or more). The
   * promise is for a subscription that is complete. */
  subscribe(
    topics: string | readonly string[],
    listener: (this: this, value: any, message: Published) => unknown,
    options?: SubscribeOptions
  ): Promise<Subscription>;

  /** What is published, one after the other: `for await (const { value } of node.watch('chat.*'))`. */
  watch(topics: string | readonly string[], options?: WatchOptions): Watch;

  /** Who serves what. */
  status(callback: (error: CloudsError | null, status?: Status) => void): void;
  status(options: WaitOptions | undefined, callback: (error: CloudsError | null, status?: Status) => void): void;
  status(options?: WaitOptions): Promise<Status>;
  statusP(options?: WaitOptions): Promise<Status>;

  /** Changes options while the node lives, for what begins from then on. Throws for others than those that can change. */
  configure(options: LiveOptions): this;

  /** Who would be called for a method now, and why; nothing is called. */
  explain(method: string, options?: WaitOptions): Promise<Explanation>;

  /** The direct links of this process's connection to other processes. */
  links(options?: WaitOptions): Promise<Link[]>;

  /** How many calls and requests of each method this node has had, how they ended, and how long they took, where its
   * option `stats` is on. */
  stats(options?: WaitOptions): Promise<Stats>;

  /** Asks another node; its library answers, if the option `admin` there allows it. */
  ask(peer: string, what: 'ping' | 'info' | 'status' | 'stats' | 'methods' | 'links', args?: {} | null, options?: WaitOptions): Promise<Answer>;
  ask(peer: string, what: 'pause' | 'resume', args?: { method?: string } | null, options?: WaitOptions): Promise<Answer>;
  ask(peer: string, what: 'stop', args?: { drain?: number } | null, options?: WaitOptions): Promise<Answer>;

  /** Resolves when the node listens, at once and not 200 ms later as by the event `listen`. Nothing has to wait for
   * it. */
  ready(callback: (error: CloudsError | null) => void): void;
  ready(options: WaitOptions | undefined, callback: (error: CloudsError | null) => void): void;
  ready(options?: WaitOptions): Promise<void>;
  readyP(options?: WaitOptions): Promise<void>;

  /** Leaves in order: unregisters, serves what it has accepted, gives up its own calls, and closes its connections. */
  exit(callback?: (error: CloudsError | null, unanswered?: number) => void): void;
  exit(options: ExitOptions, callback?: (error: CloudsError | null, unanswered?: number) => void): void;
  /** The same for a promise: how many requests were left unanswered. */
  exitP(options?: ExitOptions): Promise<number>;

  /** Keeps the process alive while the node is open; so it is from the beginning. */
  ref(): this;
  /** Lets the process end although the node is open. */
  unref(): this;

  /** The counters of its connection, by name: see docs/CONFIGURATION.md. */
  counters(): { [name: string]: number };

  /** It listens, and others had 200 ms to do so. */
  on(event: 'listen' | 'ready', listener: () => void): this;
  on(event: 'message', listener: (sender: string, data: any) => void): this;
  on(event: 'unknown message', listener: (message: Message) => void): this;
  on(event: 'exit', listener: (node: this) => void): this;
  /** Connected (again). */
  on(event: 'up', listener: () => void): this;
  /** Not connected. It is tried again by itself. */
  on(event: 'down', listener: (error: CloudsError) => void): this;
  /** With the option `peerEvents`: a server is in another state, for a method, or (undefined) for all of its methods. */
  on(
    event: 'peer',
    listener: (
      id: string,
      state: 'well' | 'avoided' | 'open' | 'probing' | 'paused' | 'draining' | 'gone',
      method: string | undefined
    ) => void
  ): this;
  /** Another node asks this one to stop, with so many seconds for what was accepted. Without a listener it leaves, as by `exit`. */
  on(event: 'stop', listener: (peer: string, drain: number | undefined) => void): this;
  /** Another node has paused or resumed a method of this one, or all of them (null). */
  on(event: 'paused', listener: (peer: string, method: string | null, paused: boolean) => void): this;
  /** A line of the library's log. Without a listener those of level warn and error are warnings of the process. */
  on(event: 'log', listener: (level: 'debug' | 'info' | 'warn' | 'error', line: LogLine) => void): this;
  /** A listener of this event threw, or its promise was rejected. Without a listener it is a warning of the process. */
  on(event: 'listener error', listener: (error: unknown, event: string) => void): this;
  on(event: string | symbol, listener: (...args: any[]) => void): this;

  /** Replaces a handler by name: `message.<type>`, `find_one_server`, `save_server_list`, `remove_server`,
   * `clear_server_list`. */
  _setHandler(name: string, handler: (this: this, ...args: any[]) => void): void;
  _getHandler(name: string): ((...args: any[]) => void) | undefined;
}

export class Client extends Base {
  constructor(options?: NodeOptions | string);
}

export class Monitor extends Base {
  constructor(options?: NodeOptions | string);
}

/** What `register` calls: the arguments that were sent, and as the last the function to answer with. A promise that
 * it gives is an answer, too. */
export type Handler = (this: Request, ...argsAndReply: any[]) => unknown;

export class Server extends Base {
  constructor(options?: NodeOptions | string);

  /** Offers a method, with a handler that answers through its last argument: `reply(error, ...values)`. Registering
   * again replaces the handler. */
  register(method: string, handler: Handler, callback?: (error: CloudsError | null, key?: string) => void): this;
  register(
    method: string,
    handler: Handler,
    options: RegisterOptions | undefined,
    callback?: (error: CloudsError | null, key?: string) => void
  ): this;

  /** Offers a method, with a handler that gets the arguments and nothing else: what it returns, or what its promise
   * gives, is the answer. */
  registerP(
    method: string,
    handler: (this: Request, ...args: any[]) => unknown,
    options?: RegisterOptions
  ): Promise<void>;

  /** Takes no calls for a method, or for all: callers go to other servers, or wait where they have retries. What was
   * accepted is still answered. */
  pause(method?: string, options?: WaitOptions): Promise<void>;
  pause(options: WaitOptions): Promise<void>;
  /** Takes calls again; without a name for all methods. */
  resume(method?: string, options?: WaitOptions): Promise<void>;
  resume(options: WaitOptions): Promise<void>;

  /** Takes a method back; requests that were accepted are still answered. */
  unregister(method: string, callback: (error: CloudsError | null) => void): void;
  unregister(method: string, options: WaitOptions | undefined, callback: (error: CloudsError | null) => void): void;
  unregister(method: string, options?: WaitOptions): Promise<void>;
  unregisterP(method: string, options?: WaitOptions): Promise<void>;

  /** A handler threw, or its promise was rejected. The caller got the error, too. Without a listener a fault of the program is a
   * warning of the process. */
  on(event: 'handler error', listener: (error: unknown, request: Request) => void): this;
  on(event: string | symbol, listener: (...args: any[]) => void): this;
}

/** The envelopes of the protocol. */
export class Protocol {
  constructor(sender: string);
  sender: string;
  packMessage(content: unknown): Packed;
  packCall(method: string, args: unknown[]): Packed;
  packResult(id: string, error: unknown, result?: unknown[]): Packed;
  unpack(text: string): Message;
}

export interface Packed {
  params: { t: string; s: string; d: any };
  raw: string;
}

/** Why a worker ends: others go on (`reload`, `retire`: it is replaced, `scale`: it is one too many), or nobody does (`stop`), or it was
 * told to by somebody else (`signal`). */
export type DrainReason = 'reload' | 'retire' | 'scale' | 'stop' | 'signal';

/** This process as a worker of `clouds start`. In any other process `solo` is true, and nothing is ever told. */
export class Worker extends EventEmitter {
  readonly solo: boolean;
  /** Its place in its group, from 1, and how many there are. */
  readonly index: number;
  readonly count: number;
  readonly generation: number;
  readonly group: string;
  readonly app: string;
  readonly draining: boolean;
  /** Where its connections come from: ports, and `unix:PATH`. */
  readonly ports: Array<number | string>;
  /** Says that this worker serves, and who takes its connections: a server of http, https, tls or net, or a function. Without it
   * that is said when what was registered is. `handover` of a server of http (usual: true): another worker goes on with its
   * connections when this one ends and others do not. */
  ready(taker?: NetServer | ((socket: Socket, port: number | string) => void), options?: { handover?: boolean }): void;
  /** It is not ready before `ready()`. */
  hold(): void;
  /** Sends a value to the worker of a group with this index, or to all of it. */
  send(group: string, value: unknown, index?: number): void;
  /** Says something of this worker, by name, for `clouds ps --json`; null takes it back. */
  set(name: string, value: unknown): void;
  /** Asks to be replaced: when another worker is ready, this one ends in order. */
  retire(): void;
  /** Asks for a reload of a group, or of everything. */
  reload(group?: string): void;
  /** Ends this worker in order; the master starts another at once. */
  stop(): void;
  /** One more thing is under way, until `release()`. From the first on this counts, and no longer open connections, for who gets the
   * next connection, and for the end, which waits until nothing is under way. */
  transact(): void;
  /** One thing less is under way; or there are so many. */
  release(remain?: number): void;
  /** Runs fn while no other worker of the group runs such a function, and gives what it gives. */
  serial<T>(fn: () => T | Promise<T>): Promise<T>;
  /** Calls fn every so many seconds, and not again before it has ended, until nobody is served any more. */
  every(seconds: number, fn: () => unknown): { stop(): void };
  /** It begins to end, why, and has so many seconds; what a listener promises is waited for. */
  on(event: 'drain', listener: (reason: DrainReason, seconds: number) => unknown): this;
  /** Its nodes have ended. */
  on(event: 'stop', listener: () => unknown): this;
  on(event: 'message', listener: (value: any, group: string, index: number) => void): this;
  on(event: string | symbol, listener: (...args: any[]) => void): this;
}

export const worker: Worker;

/** Calls `fn(...args)` in a span of this name, which ends when what it returns does, a promise or not: calls that it makes
 * are in it. What it throws goes on. */
export function span<A extends any[], R>(name: string, fn: (...args: A) => R, ...args: A): R;
/** The ids of the trace and the span that this code is in, and whether that is recorded; null where it is in none. */
export function trace(): { trace: string; span: string; recorded: boolean } | null;

export function createBase(options?: BaseOptions | string): Base;
export function createClient(options?: NodeOptions | string): Client;
export function createServer(options?: NodeOptions | string): Server;
export function createMonitor(options?: NodeOptions | string): Monitor;
export function createProtocol(sender: string): Protocol;
