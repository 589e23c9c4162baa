/** Requests on their way, and again where that helps. */

import { APIConnectionError, IsolaError, NotFoundError } from "./errors.js";
import { Exchange, type ExchangeOptions, type Fetch } from "./exchange.js";
import { type Answer, type Request, identified, isError, nameOf, requestIdOf } from "./protocol/messages.js";
import { errorOf, idOf, jsonObject, nonsense } from "./protocol/problems.js";
import { Attempts, type Retrying } from "./protocol/retrying.js";
import type { Body } from "./uploads.js";
import { VERSION } from "./version.js";

/** What every call takes. */
export interface CallOptions {
  /** Ends the call; what was asked for may be done all the same. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for all of it, attempts and pauses included. */
  readonly deadlineMs?: number | undefined;
}

/** A WebSocket's constructor, as a function: `(url) => new WebSocket(url)`. */
export type OpenWebSocket = (url: string) => WebSocket;

export interface ApiOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: Fetch;
  readonly webSocket: OpenWebSocket | undefined;
  readonly retrying: Retrying;
  readonly callDeadlineMs: number;
}

/** What was answered, and under which request id. */
export interface Told<T> {
  readonly told: T;
  readonly requestId: string | undefined;
}

/** A gateway, as seen from here. */
export class Api {
  readonly url: string;
  readonly options: ApiOptions;

  constructor(url: string, options: ApiOptions) {
    this.url = url;
    // Offsets count the bytes as they are.
    this.options = { ...options, headers: { "User-Agent": `isola-sdk-typescript/${VERSION}`, "Accept-Encoding": "identity", ...options.headers } };
  }

  /** Begin with something, however often it is tried. */
  attempts(call: CallOptions, otherwiseMs = Number.POSITIVE_INFINITY): Attempts {
    return new Attempts(this.options.retrying, performance.now() + (call.deadlineMs ?? otherwiseMs));
  }

  /** Return the JSON object that is answered; `fields` are what it must have. */
  async ask<T extends object>(asked: Request, fields: readonly (keyof T & string)[], call: CallOptions = {}): Promise<Told<T>> {
    const answer = await this.send(asked, call);
    const told = jsonObject(answer.body);
    const missing = told ? fields.find((field) => told[field] === undefined || told[field] === null) : "a JSON object";
    if (missing !== undefined) throw nonsense(answer, asked, `it lacks ${missing}`);
    return { told: told as T, requestId: idOf(answer, asked) };
  }

  /** Return the answer to a request, which is a success; tried again, under one key, as long as that helps. */
  async send(asked: Request, call: CallOptions = {}, body?: Body): Promise<Answer> {
    const named = identified(asked, token());
    const attempts = this.attempts(call, body ? undefined : this.options.callDeadlineMs + named.heldMs);
    for (;;) {
      try {
        return await this.#once(named, attempts, { signal: call.signal, body });
      } catch (failure) {
        if (!(failure instanceof IsolaError)) throw failure;
        if (named.goneIsDone && attempts.failures && failure instanceof NotFoundError) {
          return { status: 204, headers: new Headers(), body: new Uint8Array() };
        }
        await this.rest(attempts, failure, call.signal, named.repeatable && (body?.canRewind ?? true));
      }
    }
  }

  /** Wait before the next attempt, or throw `failure`, where there is none. */
  async rest(attempts: Attempts, failure: IsolaError, signal: AbortSignal | undefined, repeatable = true): Promise<void> {
    await sleep(attempts.after(failure, performance.now(), Math.random(), repeatable), signal);
  }

  /** Hold an answer whose body is still to come, in `mediaType`. Whoever asks closes the exchange. */
  async opened(asked: Request, attempts: Attempts, options: ExchangeOptions, mediaType?: string): Promise<{ exchange: Exchange; response: Response }> {
    const exchange = new Exchange(asked, attempts, options);
    try {
      const response = await exchange.respond(this.options.fetch, this.url, this.options.headers);
      if (mediaType !== undefined) await this.accepted(exchange, response, mediaType);
      return { exchange, response };
    } catch (error) {
      exchange.close();
      throw error;
    }
  }

  /** Return if that is the head of a stream, and throw what it is otherwise. */
  async accepted(exchange: Exchange, response: Response, mediaType: string): Promise<void> {
    const { asked } = exchange;
    if (isError(response.status)) throw errorOf(await exchange.whole(), asked);
    const found = response.headers.get("content-type") ?? "nothing";
    if (!found.includes(mediaType)) {
      // Whatever stands in between says something of its own, and may be out of the way soon.
      throw new APIConnectionError(`${nameOf(asked)}: ${found} instead of ${mediaType}`, { requestId: requestIdOf(asked) });
    }
  }

  async #once(asked: Request, attempts: Attempts, options: ExchangeOptions): Promise<Answer> {
    const { exchange } = await this.opened(asked, attempts, options);
    try {
      const answer = await exchange.whole();
      if (isError(answer.status)) throw errorOf(answer, asked);
      return answer;
    } finally {
      exchange.close();
    }
  }
}

/** Return 32 random hexadecimal digits. `crypto.randomUUID` is not there in a page without TLS. */
function token(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", stop, { once: true });
  });
}
