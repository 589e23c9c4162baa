/** One request and its answer: the only module that speaks HTTP. */

import { APIConnectionError, IsolaError, IsolaTimeoutError } from "./errors.js";
import { type Answer, type Request, nameOf, requestIdOf } from "./protocol/messages.js";
import type { Attempts } from "./protocol/retrying.js";
import { concat } from "./protocol/text.js";
import type { Body } from "./uploads.js";

/** A gateway answers within its own 45 s, or says that it is alive every 15 s. */
const SILENCE_MS = 30_000;

/** A function like the platform's `fetch`. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface ExchangeOptions {
  readonly signal?: AbortSignal | undefined;
  readonly silenceMs?: number;
  readonly body?: Body | undefined;
}

/** An exchange; whoever made one closes it. */
export class Exchange {
  readonly asked: Request;
  readonly #attempts: Attempts;
  readonly #options: ExchangeOptions;
  readonly #silenceMs: number;
  readonly #controller = new AbortController();
  #response: Response | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stop: ((why: unknown) => void) | undefined;

  constructor(asked: Request, attempts: Attempts, options: ExchangeOptions) {
    this.asked = asked;
    this.#attempts = attempts;
    this.#options = options;
    this.#silenceMs = (options.silenceMs ?? SILENCE_MS) + asked.heldMs;
  }

  /** Send, and return the head of the answer. */
  async respond(fetch: Fetch, url: string, headers: Readonly<Record<string, string>>): Promise<Response> {
    const { body } = this.#options;
    const content = body ? body.open(() => this.#listen(), (reason) => this.#stop?.(reason)) : this.asked.body;
    const init: RequestInit & { duplex?: "half" } = {
      method: this.asked.method,
      // Made here, where what is no header is the caller's error, and no connection's.
      headers: new Headers({ ...headers, ...this.asked.headers }),
      redirect: "manual",
      signal: this.#controller.signal,
    };
    if (content !== undefined) init.body = content;
    if (content instanceof ReadableStream) init.duplex = "half";
    this.#response = await this.#guarded(() => fetch(url + this.asked.path + this.asked.query, init));
    return this.#response;
  }

  /** Yield the body of the answer. */
  async *pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    const reader = this.#response?.body?.getReader();
    if (!reader) return;
    const announced = Number(this.#response?.headers.get("content-length") ?? "NaN");
    let came = 0;
    for (;;) {
      const { done, value } = await this.#guarded(() => reader.read());
      if (done) break;
      came += value.length;
      yield value;
    }
    // Not every platform notices.
    if (came < announced) throw this.#lost("the answer is cut short");
  }

  /** Return an answer whose body is small. */
  async whole(): Promise<Answer> {
    const { status, headers } = this.#response as Response;
    const pieces: Uint8Array[] = [];
    for await (const piece of this.pieces()) pieces.push(piece);
    return { status, headers, body: concat(pieces) };
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#controller.abort();
  }

  /** Run something that ends by itself, by the caller's signal, after too much silence, or at the deadline. */
  async #guarded<T>(action: () => Promise<T>): Promise<T> {
    const { signal } = this.#options;
    signal?.throwIfAborted();
    this.#attempts.left(performance.now(), nameOf(this.asked), requestIdOf(this.asked));
    const aborted = (): void => this.#stop?.(signal?.reason);
    signal?.addEventListener("abort", aborted);
    try {
      return await new Promise<T>((resolve, reject) => {
        this.#stop = (why) => {
          reject(why);
          this.#controller.abort();
        };
        this.#listen();
        action().then(resolve, (error: unknown) => reject(this.#translated(error)));
      });
    } finally {
      this.#stop = undefined;
      clearTimeout(this.#timer);
      signal?.removeEventListener("abort", aborted);
    }
  }

  /** Begin to count the silence. */
  #listen(): void {
    clearTimeout(this.#timer);
    if (!this.#stop) return;
    const [name, requestId] = [nameOf(this.asked), requestIdOf(this.asked)];
    let left: number;
    try {
      left = this.#attempts.left(performance.now(), name, requestId);
    } catch (over) {
      this.#stop(over);
      return;
    }
    const silence = this.#silenceMs <= left;
    this.#timer = setTimeout(
      () => {
        const why = silence
          ? this.#lost(`nothing came for ${this.#silenceMs / 1000} s`, { silent: true })
          : new IsolaTimeoutError(`${name}: the deadline is over`, { requestId });
        this.#stop?.(why);
      },
      Math.min(this.#silenceMs, left),
    );
  }

  #translated(error: unknown): unknown {
    if (error instanceof IsolaError) return error;
    const told = error instanceof Error ? deepest(error) : error;
    return this.#lost(told instanceof Error ? told.message || told.name : String(told), { cause: error, mayHaveArrived: !isUnsent(error) });
  }

  #lost(why: string, more: { cause?: unknown; mayHaveArrived?: boolean; silent?: boolean } = {}): APIConnectionError {
    return new APIConnectionError(`${nameOf(this.asked)}: ${why}`, { requestId: requestIdOf(this.asked), ...more });
  }
}

/** Node's `fetch failed` says why only in its cause. */
function deepest(error: Error): Error {
  return error.cause instanceof Error ? deepest(error.cause) : error;
}

/** How platforms say that there was no connection: nothing of a request was sent. */
const UNSENT = /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|UND_ERR_CONNECT_TIMEOUT|ConnectionRefused|FailedToOpenSocket|tcp connect error|dns error/;

function isUnsent(error: unknown): boolean {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (UNSENT.test(`${String((each as { code?: unknown }).code)} ${each.message}`)) return true;
  }
  return false;
}
