/** A request and an answer, as values. */

export const OCTETS = "application/octet-stream";
export const EVENTS = "text/event-stream";

export interface Request {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  /** Below the gateway's address, percent-encoded. */
  readonly path: string;
  readonly query: string;
  readonly headers: Readonly<Record<string, string>>;
  /** None for none, or for one that comes as a stream. */
  readonly body?: Uint8Array<ArrayBuffer>;
  /** How long the gateway was asked to hold the answer back. */
  readonly heldMs: number;
  /** Whether it does no harm twice, or carries a key by which it is done once. */
  readonly repeatable: boolean;
  /** Whether 404 to a repetition says that an earlier one was carried out. */
  readonly goneIsDone: boolean;
}

/** An answer that came in whole. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export function request(
  method: Request["method"],
  parts: readonly string[],
  query: Query = {},
  more: Partial<Request> = {},
): Request {
  return {
    method,
    path: path(parts),
    query: encoded(query),
    headers: {},
    heldMs: 0,
    repeatable: true,
    goneIsDone: false,
    ...more,
  };
}

/** The same with a JSON body; what is undefined is left out. */
export function withJson(asked: Request, body: unknown): Request {
  return {
    ...withHeaders(asked, { "Content-Type": "application/json" }),
    body: new TextEncoder().encode(JSON.stringify(body)),
  };
}

export function withHeaders(asked: Request, headers: Record<string, string>): Request {
  return { ...asked, headers: { ...asked.headers, ...headers } };
}

/** The same under an id, and a POST under a key by which it is done once. */
export function identified(asked: Request, token: string): Request {
  const named: Record<string, string> = { "X-Request-Id": token };
  if (asked.method === "POST") named["Idempotency-Key"] = token;
  return { ...asked, headers: { ...named, ...asked.headers } };
}

export function requestIdOf(asked: Request): string | undefined {
  return asked.headers["X-Request-Id"];
}

/** What a request is called in messages. */
export function nameOf(asked: Request): string {
  return `${asked.method} ${asked.path}`;
}

/** Whether it is no success; a redirect is none, as nothing here follows it. Browsers hide its status as 0. */
export function isError(status: number): boolean {
  return status >= 300 || status === 0;
}

function path(parts: readonly string[]): string {
  for (const part of parts) {
    // URLs normalise these away, percent-encoded too, and the request would be another one.
    if (part === "" || part === "." || part === "..") throw new RangeError(`${JSON.stringify(part)} is no id`);
  }
  return ["", "v1", ...parts.map(encodeURIComponent)].join("/");
}

function encoded(query: Query): string {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) found.set(name, String(value));
  }
  const text = found.toString();
  return text && `?${text}`;
}
