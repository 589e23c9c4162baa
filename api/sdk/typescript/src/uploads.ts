/** What is uploaded: in pieces, and again where that is possible. */

const PIECE_BYTES = 256 * 1024;

/** Called with the bytes that were moved so far, and with how many there are, if that is known. */
export type Progress = (moved: number, total: number | undefined) => void;

export type Source = ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

/**
 * What can be uploaded. Of a stream or an iterable only one attempt can be made; of a function that returns a new one for
 * each attempt, as many as of bytes or of a `Blob`.
 */
export type Upload = string | Uint8Array | ArrayBuffer | Blob | Source | (() => Source);

/** A body that is sent in pieces, so that its size does not matter. */
export class Body {
  readonly canRewind: boolean;
  readonly #data: Blob | Source | (() => Source);
  readonly #onProgress: Progress | undefined;

  constructor(data: Upload, onProgress?: Progress) {
    const whole = typeof data === "string" || data instanceof Uint8Array || data instanceof ArrayBuffer;
    this.#data = whole ? new Blob([data as BlobPart]) : data;
    this.#onProgress = onProgress;
    this.canRewind = this.#data instanceof Blob || typeof this.#data === "function";
  }

  /**
   * Return the body for one attempt.
   *
   * @param alive Called whenever some of it is taken.
   * @param fail Called with what the source threw; it ends the request. (Were the stream to fail, workerd would send what came
   *     so far as if it were all.)
   */
  open(alive: () => void, fail: (reason: unknown) => void): BodyInit {
    // With its length, that is, and without a copy.
    if (this.#data instanceof Blob && !this.#onProgress && this.#data.size <= PIECE_BYTES) return this.#data;
    const pieces = this.#pieces();
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        alive();
        const next = await pieces.next().catch((reason: unknown) => {
          fail(reason);
          return new Promise<never>(() => undefined);
        });
        if (next.done) controller.close();
        else controller.enqueue(next.value);
      },
      cancel: () => {
        // It may be waiting, and for ever.
        pieces.return(undefined).catch(() => undefined);
      },
    });
  }

  async *#pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    const total = this.#data instanceof Blob ? this.#data.size : undefined;
    let sent = 0;
    for await (const piece of this.#parts()) {
      yield piece;
      sent += piece.length;
      this.#onProgress?.(sent, total);
    }
  }

  async *#parts(): AsyncGenerator<Uint8Array, void, undefined> {
    const data = typeof this.#data === "function" ? this.#data() : this.#data;
    if (data instanceof Blob) {
      for (let begin = 0; begin < data.size; begin += PIECE_BYTES) {
        yield new Uint8Array(await data.slice(begin, begin + PIECE_BYTES).arrayBuffer());
      }
    } else if (data instanceof ReadableStream) {
      yield* drained(data);
    } else {
      yield* data;
    }
  }
}

/** Yield what a stream has. Not every platform can iterate one. */
async function* drained(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = stream.getReader();
  let over = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      yield value;
    }
    over = true;
  } finally {
    if (!over) await reader.cancel().catch(() => undefined);
    reader.releaseLock();
  }
}

/** Return a stream of what a generator yields. Cancelling it ends the generator, also while that waits. */
export function streamOf(
  generate: (signal: AbortSignal) => AsyncGenerator<Uint8Array, void, undefined>,
  signal?: AbortSignal,
): ReadableStream<Uint8Array> {
  const controller = new AbortController();
  const abort = (): void => controller.abort(signal?.reason);
  if (signal?.aborted) abort();
  else signal?.addEventListener("abort", abort);
  const release = (): void => signal?.removeEventListener("abort", abort);
  const pieces = generate(controller.signal);
  return new ReadableStream<Uint8Array>(
    {
      async pull(sink) {
        try {
          const { done, value } = await pieces.next();
          if (!done) return sink.enqueue(value);
          release();
          sink.close();
        } catch (error) {
          release();
          throw error;
        }
      },
      async cancel() {
        release();
        controller.abort();
        await pieces.return(undefined).catch(() => undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
