/** A client of the gateway for browsers: docs/GATEWAY.md. */

export type Outcome = 'APP_ERROR' | 'NOT_DONE' | 'UNKNOWN';

/** What a call, or anything else that was asked for, ends with when it fails. */
export class CloudsError extends Error {
  /** The service's own code, or one of the library. */
  code: string;
  /** `APP_ERROR`: the service ran and failed; `NOT_DONE`: not executed; `UNKNOWN`: it may have been executed. */
  outcome: Outcome;
  retryable: boolean;
  /** What else the service said. */
  [member: string]: unknown;
}

export interface ClientOptions {
  /** The gateway's WebSocket; default: `/ws` of the host that the page is of. */
  url?: string;
  /** What says who asks, or a function that gives it for each connection. */
  token?: string | (() => string | Promise<string>);
  /** Seconds for what says no other. Default: 60. */
  timeout?: number;
  /** In the place of the global one. */
  WebSocket?: new (url: string, protocol: string) => unknown;
}

export interface AskOptions {
  /** Seconds. */
  timeout?: number;
  /** Its abort rejects with its reason, and cancels a call where it is executed. */
  signal?: AbortSignal;
}

export interface CallOptions extends AskOptions {
  /** An idempotency key: the call is executed once, and repeated when the connection is lost. */
  once?: string;
  traceparent?: string;
  /** When the call has ended, `server` in it is the id of who answered, or of who was asked last, if the gateway tells. */
  about?: { server?: string };
}

export interface Published {
  topic: string;
  /** Values that are missing before this one; null when nobody knows, after a loss of the connection. */
  missed: number | null;
}

export interface Subscription {
  readonly topic: string;
  readonly closed: boolean;
  close(): void;
}

/** A connection to the gateway, opened again when it is lost. Events: `open`; `close` with `code` and `reason`; `error`
 * with what a listener threw, or why a subscription is not there any more. */
export class Client extends EventTarget {
  constructor(options?: ClientOptions);
  readonly url: string;
  readonly connected: boolean;

  /** Calls a method; a promise for its first result. */
  call<T = any>(method: string, args?: readonly unknown[], options?: CallOptions): Promise<T>;
  /** The same for the list of all results. */
  call<T extends any[] = any[]>(
    method: string,
    args: readonly unknown[],
    options: CallOptions & { all: true }
  ): Promise<T>;

  /** Calls listener for each value that is published at a topic or a pattern. */
  subscribe(
    topic: string,
    listener: (value: any, message: Published) => unknown,
    options?: AskOptions
  ): Promise<Subscription>;

  publish(topic: string, value: unknown, options?: AskOptions): Promise<void>;
  send(node: string, value: unknown, options?: AskOptions): Promise<void>;

  /** Ends it, and all that waits. */
  close(): void;
}
