/** A command's output as it comes, through lost connections. */

import type { Api, CallOptions } from "./api.js";
import { APIConnectionError, IsolaError, StreamLostError } from "./errors.js";
import type { CommandStatus } from "./models.js";
import { OCTETS, request, withHeaders } from "./protocol/messages.js";
import { Position } from "./protocol/output.js";
import type { Attempts } from "./protocol/retrying.js";
import { LineDecoder, concat, decoded } from "./protocol/text.js";
import { GRANTED_SECONDS, waiting } from "./protocol/waiting.js";
import { streamOf } from "./uploads.js";

/** After so much silence it is asked whether the command still runs, by a connection anew. */
const SILENCE_MS = 45_000;

export type StreamName = "stdout" | "stderr";

export interface StreamOptions {
  /** The first byte that is wanted. Default: 0. */
  readonly offset?: number | undefined;
}

/** Whether a command has ended, asked until it has. */
export class Ending {
  known: CommandStatus | undefined;
  readonly #api: Api;
  readonly #where: readonly string[];

  constructor(api: Api, where: readonly string[]) {
    this.#api = api;
    this.#where = where;
  }

  /** Return how it stands, after so long at most if it runs. */
  async ask(waitSeconds = 0, call: CallOptions = {}): Promise<CommandStatus> {
    if (this.known) return this.known;
    const asked = waiting([...this.#where, "status"], Math.min(waitSeconds, GRANTED_SECONDS));
    const { told } = await this.#api.ask<Partial<CommandStatus>>(asked, [], call);
    const status = { ...told, exitCode: told.exitCode ?? null };
    if (status.exitCode !== null) this.known = status;
    return status;
  }
}

/**
 * One output stream of a command, from a byte on; to be read once.
 *
 * Iterate for text; `bytes` and `stream` give it as it is; `text` and `readBytes` return all of it. A connection that is
 * lost is made again and goes on at the very byte: nothing comes twice, nothing is left out. `StreamLostError`: it could not
 * be made again. `GoneError`: the sandbox no longer keeps this output.
 */
export class OutputReader implements AsyncIterable<string> {
  readonly #api: Api;
  readonly #where: readonly string[];
  readonly #ending: Ending;
  readonly #position: Position;
  #begun = false;

  constructor(api: Api, where: readonly string[], ending: Ending, offset = 0) {
    this.#api = api;
    this.#where = where;
    this.#ending = ending;
    this.#position = new Position(offset);
  }

  /** How many bytes of the command's output were read; a reader from there goes on. */
  get offset(): number {
    return this.#position.offset;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, undefined> {
    yield* this.lines();
  }

  /** Yield text as it comes, in pieces that need not be lines; each end of a line is `\n`. */
  async *lines(call: CallOptions = {}): AsyncGenerator<string, void, undefined> {
    const decoder = new LineDecoder();
    for await (const piece of this.bytes(call)) {
      const text = decoder.feed(piece);
      if (text) yield text;
    }
    const text = decoder.feed(new Uint8Array(), true);
    if (text) yield text;
  }

  /** Return all of it as text, once the command has ended. */
  async text(call: CallOptions = {}): Promise<string> {
    return decoded(await this.readBytes(call));
  }

  /** Return all of it, once the command has ended. */
  async readBytes(call: CallOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this.bytes(call)) pieces.push(piece);
    return concat(pieces);
  }

  /** Return it as a web stream; cancelling that closes the connection. */
  stream(call: CallOptions = {}): ReadableStream<Uint8Array> {
    return streamOf((signal) => this.bytes({ ...call, signal }), call.signal);
  }

  /** Yield bytes as they come. */
  async *bytes(call: CallOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#begun) throw new TypeError("this stream was read already: ask the command for another reader");
    this.#begun = true;
    const attempts = this.#api.attempts(call);
    while (!this.#position.isOver) {
      try {
        yield* this.#attempt(attempts, call);
        this.#position.cameWhole();
        await this.#isItOver(attempts, call);
      } catch (failure) {
        if (!(failure instanceof IsolaError)) throw failure;
        await this.#after(failure, attempts, call);
      }
    }
  }

  async *#attempt(attempts: Attempts, call: CallOptions): AsyncGenerator<Uint8Array, void, undefined> {
    const from = this.#position.asked(this.#ending.known !== undefined);
    const asked = withHeaders(request("GET", this.#where), { Accept: OCTETS, "Last-Event-ID": from });
    const options = { signal: call.signal, silenceMs: SILENCE_MS };
    const { exchange } = await this.#api.opened(asked, attempts, options, OCTETS);
    try {
      for await (const piece of exchange.pieces()) {
        attempts.progressed();
        this.#position.took(piece.length);
        yield piece;
      }
    } finally {
      exchange.close();
    }
  }

  /** Ask, after an answer that ended well, whether the command did. */
  async #isItOver(attempts: Attempts, call: CallOptions): Promise<void> {
    const { exitCode } = await this.#ending.ask(1, { signal: call.signal });
    if (exitCode === null && !this.#position.gained) {
      const cut = new APIConnectionError(`GET ${this.#where.at(-1)}: the stream ended, and the command has not`);
      await this.#api.rest(attempts, cut, call.signal);
    }
  }

  async #after(failure: IsolaError, attempts: Attempts, call: CallOptions): Promise<void> {
    try {
      if (failure instanceof APIConnectionError && failure.silent) {
        // Its answer shows that the gateway is there: the command has nothing to say.
        attempts.left(performance.now(), failure.what, failure.requestId);
        await this.#ending.ask(0, { signal: call.signal });
      } else {
        await this.#api.rest(attempts, failure, call.signal);
      }
    } catch (lost) {
      throw lostAt(lost, this.offset);
    }
  }
}

/** Return what is to be thrown where a stream could not go on. */
export function lostAt(error: unknown, offset: number, unit?: string): unknown {
  if (!(error instanceof APIConnectionError) || error instanceof StreamLostError) return error;
  const { what, requestId } = error;
  return new StreamLostError(what, offset, { requestId, cause: error, ...(unit ? { unit } : {}) });
}

