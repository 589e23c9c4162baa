/** A command's terminal, over a WebSocket, through lost connections. */

import type { Api, CallOptions } from "./api.js";
import { APIConnectionError, APIError, IsolaError } from "./errors.js";
import type { CommandStatus, TerminalSize } from "./models.js";
import { type Request, nameOf, request } from "./protocol/messages.js";
import { isObject } from "./protocol/problems.js";
import type { Attempts } from "./protocol/retrying.js";
import { type Ending, lostAt } from "./streams.js";

/** A half-open connection looks like a terminal at rest, as pings are not shown: it is made again after so long. */
const SILENCE_MS = 60_000;
const CONNECT_MS = 30_000;

const NORMAL = 1000;
const GOING_AWAY = 1001;
const ABNORMAL = 1006;

export interface TerminalOptions extends CallOptions {
  /** The first byte of output that is wanted. Default: 0. */
  readonly offset?: number | undefined;
}

interface Closed {
  readonly code: number;
  readonly reason: string;
}

/**
 * What a command's terminal shows, and what is typed into it.
 *
 * Iterate for its output, byte by byte, to the command's end. A connection that is lost is made again and goes on at the
 * very byte. What is typed is sent once. Use it with `await using`, or call `close`. There is no backpressure on a
 * WebSocket: what is not read stays in memory.
 */
export class Terminal implements AsyncIterable<Uint8Array>, AsyncDisposable {
  readonly #api: Api;
  readonly #where: readonly string[];
  readonly #ending: Ending;
  readonly #call: CallOptions;
  readonly #attempts: Attempts;
  #offset: number;
  #status: CommandStatus | undefined;
  #connection: Promise<Connection> | undefined;
  #closed = false;

  constructor(api: Api, where: readonly string[], ending: Ending, { offset = 0, ...call }: TerminalOptions) {
    this.#api = api;
    this.#where = where;
    this.#ending = ending;
    this.#call = call;
    this.#offset = offset;
    this.#attempts = api.attempts(call);
  }

  /** How many bytes of output were read; another terminal from there goes on. */
  get offset(): number {
    return this.#offset;
  }

  /** How the command ended; undefined before its end was read. */
  get status(): CommandStatus | undefined {
    return this.#status;
  }

  /** Type. `APIConnectionError`: nobody knows whether it arrived. */
  async write(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : new Uint8Array(data);
    (await this.#connected()).send(bytes);
  }

  /** Give it another size, of which its programs are told. */
  async resize({ rows, columns }: TerminalSize): Promise<void> {
    (await this.#connected()).send(JSON.stringify({ rows, columns }));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    const { signal } = this.#call;
    while (!this.#closed) {
      try {
        const connection = await this.#connected();
        const event = await connection.next(this.#attempts.left(performance.now(), nameOf(this.#asked)), signal);
        this.#attempts.progressed();
        if (event instanceof Uint8Array) {
          this.#offset += event.length;
          yield event;
        } else if (typeof event === "string") {
          this.#told(event);
        } else {
          this.#disconnect();
          if (this.#closed || (event.code === NORMAL && this.#status)) return;
          if (event.code !== NORMAL) throw this.#failure(event);
        }
      } catch (failure) {
        this.#disconnect();
        if (!(failure instanceof IsolaError)) throw failure;
        await this.#api.rest(this.#attempts, failure, signal).catch((lost: unknown) => {
          throw lostAt(lost, this.#offset);
        });
      }
    }
  }

  /** Leave it. The command goes on. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#disconnect();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  get #asked(): Request {
    return request("GET", [...this.#where, "terminal"], { offset: this.#offset || undefined });
  }

  #told(text: string): void {
    const told: unknown = JSON.parse(text);
    if (!isObject(told)) return;
    if (typeof told["exitCode"] === "number") {
      this.#ending.known = this.#status = told as unknown as CommandStatus;
    } else if (typeof told["offset"] === "number") {
      this.#offset = told["offset"]; // past the end of the output, where the sandbox lost it
    }
  }

  #failure({ code, reason }: Closed): IsolaError {
    if (code === GOING_AWAY || code === ABNORMAL) {
      return new APIConnectionError(`${nameOf(this.#asked)}: closed: ${reason || "come again"}`);
    }
    return new APIError(`${nameOf(this.#asked)}: ${reason}`, { status: code });
  }

  #connected(): Promise<Connection> {
    this.#connection ??= this.#connect().catch((error: unknown) => {
      this.#connection = undefined;
      throw error;
    });
    return this.#connection;
  }

  async #connect(): Promise<Connection> {
    if (this.#closed) throw new IsolaError("this terminal is closed");
    for (;;) {
      try {
        return await this.#once();
      } catch (failure) {
        if (!(failure instanceof IsolaError)) throw failure;
        await this.#api.rest(this.#attempts, failure, this.#call.signal);
      }
    }
  }

  async #once(): Promise<Connection> {
    const { webSocket } = this.#api.options;
    if (!webSocket) throw new IsolaError("this runtime has no WebSocket: give `webSocket` to `new Isola`");
    const asked = this.#asked;
    const socket = webSocket(this.#api.url.replace(/^http/, "ws") + asked.path + asked.query);
    const connection = new Connection(socket);
    try {
      await connection.opened(Math.min(CONNECT_MS, this.#attempts.left(performance.now(), nameOf(asked))), this.#call.signal);
      return connection;
    } catch (error) {
      socket.close();
      if (!(error instanceof IsolaError)) throw error;
      throw (await this.#why()) ?? new APIConnectionError(`${nameOf(asked)}: ${error.what}`, { mayHaveArrived: false });
    }
  }

  /** A WebSocket does not tell why it was refused; what is known of the command may. */
  async #why(): Promise<IsolaError | undefined> {
    const { signal } = this.#call;
    try {
      await this.#ending.ask(0, { signal, deadlineMs: CONNECT_MS });
      return undefined;
    } catch (error) {
      if (error instanceof IsolaError) return error;
      throw error;
    }
  }

  #disconnect(): void {
    this.#connection?.then((connection) => connection.close(), () => undefined);
    this.#connection = undefined;
  }
}

/** A WebSocket whose events are asked for one after the other. */
class Connection {
  readonly #socket: WebSocket;
  readonly #events: (Uint8Array | string | Closed | undefined)[] = [];
  #wake: (() => void) | undefined;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    const came = (event: Uint8Array | string | Closed | undefined): void => {
      this.#events.push(event);
      this.#wake?.();
    };
    socket.addEventListener("open", () => came(undefined));
    socket.addEventListener("message", ({ data }: MessageEvent<unknown>) => came(typeof data === "string" ? data : new Uint8Array(data as ArrayBuffer)));
    socket.addEventListener("close", ({ code, reason }) => came({ code, reason }));
    socket.addEventListener("error", () => came({ code: ABNORMAL, reason: "the connection was cut" }));
  }

  async opened(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    await this.#came(timeoutMs, signal);
    if (this.#events[0] === undefined) this.#events.shift();
    else throw new APIConnectionError("no WebSocket was opened; was the command started with `terminal`?");
  }

  /** Return what came next. */
  async next(timeoutMs: number, signal: AbortSignal | undefined): Promise<Uint8Array | string | Closed> {
    await this.#came(Math.min(timeoutMs, SILENCE_MS), signal);
    return this.#events.shift() ?? { code: NORMAL, reason: "" };
  }

  send(data: Uint8Array<ArrayBuffer> | string): void {
    if (this.#socket.readyState !== 1) throw new APIConnectionError("the terminal's connection is lost", { mayHaveArrived: false });
    this.#socket.send(data);
  }

  close(): void {
    this.#socket.close(NORMAL);
  }

  /** Return once there is an event, or after so much silence. */
  #came(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#events.length) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const over = (settle: () => void): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", stop);
        this.#wake = undefined;
        settle();
      };
      const stop = (): void => over(() => reject(signal?.reason));
      const timer = setTimeout(() => {
        this.#events.push({ code: ABNORMAL, reason: `nothing came for ${timeoutMs / 1000} s` });
        over(resolve);
      }, timeoutMs);
      this.#wake = () => over(resolve);
      if (signal?.aborted) stop();
      else signal?.addEventListener("abort", stop);
    });
  }
}
