/** Commands in a sandbox. */

import { type Api, type CallOptions, sleep } from "./api.js";
import { ConflictError, IsolaTimeoutError } from "./errors.js";
import type { CommandInfo, CommandStatus, TerminalSize } from "./models.js";
import { OCTETS, request, withHeaders, withJson } from "./protocol/messages.js";
import { decoded } from "./protocol/text.js";
import { Ending, OutputReader, type StreamName, type StreamOptions } from "./streams.js";
import { Terminal, type TerminalOptions } from "./terminals.js";

/** A program may read slowly: no request is so large that it would be taken for lost. */
const WRITE_BYTES = 1024 * 1024;

export interface SpawnOptions extends CallOptions {
  /** Over the container's environment. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Default: that of the container's main process. */
  readonly cwd?: string | undefined;
  /** It is killed when it runs longer. */
  readonly timeoutSeconds?: number | undefined;
  /** Needed only where there are several. */
  readonly container?: string | undefined;
  /** It runs on a terminal of that size, not on pipes: see `Command.terminal`. */
  readonly terminal?: TerminalSize | undefined;
}

export interface RunOptions extends Omit<SpawnOptions, "terminal" | "deadlineMs"> {
  /** Its standard input; a program that ends without reading it is no error. */
  readonly input?: string | Uint8Array | undefined;
  /** How long to wait for it. Default: to its end. */
  readonly waitTimeoutMs?: number | undefined;
}

export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** How long to wait. Default: to its end. */
  readonly timeoutMs?: number | undefined;
}

/** What came of a command that has ended. */
export interface CommandResult {
  readonly id: string;
  /** Its output as text: UTF-8, every end of a line as a newline. */
  readonly stdout: string;
  readonly stderr: string;
  /** Its output as it is. */
  readonly stdoutBytes: Uint8Array<ArrayBuffer>;
  readonly stderrBytes: Uint8Array<ArrayBuffer>;
  /** -1 unless it exited by itself. */
  readonly exitCode: number;
  readonly cause: CommandStatus["cause"];
  /** Which signal ended it, if one did. */
  readonly signal: string | undefined;
}

/** A command that was started. */
export class Command {
  readonly id: string;
  readonly #api: Api;
  readonly #where: readonly string[];
  readonly #ending: Ending;
  readonly #readers = new Map<StreamName, OutputReader>();

  constructor(api: Api, sandboxId: string, id: string) {
    this.id = id;
    this.#api = api;
    this.#where = ["sandboxes", sandboxId, "commands", id];
    this.#ending = new Ending(api, this.#where);
  }

  /** Standard output from its beginning; always the same reader, to be read once. */
  get stdout(): OutputReader {
    return this.#reader("stdout");
  }

  /** Standard error likewise. */
  get stderr(): OutputReader {
    return this.#reader("stderr");
  }

  /** Return a new reader of an output, from a byte on. */
  output(name: StreamName, { offset = 0 }: StreamOptions = {}): OutputReader {
    return new OutputReader(this.#api, [...this.#where, name], this.#ending, offset);
  }

  /** Return how it stands. */
  async status(call: CallOptions = {}): Promise<CommandStatus> {
    return this.#ending.ask(0, call);
  }

  /** Return its exit code, once it has ended: -1 unless it exited by itself. `IsolaTimeoutError`: it runs longer, and goes on. */
  async wait({ signal, timeoutMs = Number.POSITIVE_INFINITY }: WaitOptions = {}): Promise<number> {
    const until = performance.now() + timeoutMs;
    for (;;) {
      const left = until - performance.now();
      const { exitCode } = await this.#ending.ask(left / 1000, { signal });
      if (exitCode !== null) return exitCode;
      if (performance.now() >= until) throw new IsolaTimeoutError(`command ${this.id} runs after ${timeoutMs} ms`);
      if (left < 1000) await sleep(Math.min(left, 100), signal); // the gateway waits for whole seconds
    }
  }

  /** Write to its standard input. `ConflictError`: it has ended, or takes no more. */
  async writeStdin(data: string | Uint8Array, call: CallOptions = {}): Promise<void> {
    const content = typeof data === "string" ? new TextEncoder().encode(data) : new Uint8Array(data);
    const asked = withHeaders(request("POST", [...this.#where, "stdin"]), { "Content-Type": OCTETS });
    let begin = 0;
    do {
      await this.#api.send({ ...asked, body: content.slice(begin, begin + WRITE_BYTES) }, call);
      begin += WRITE_BYTES;
    } while (begin < content.length);
  }

  /** End its standard input. */
  async closeStdin(call: CallOptions = {}): Promise<void> {
    await this.#api.send(request("POST", [...this.#where, "stdin", "close"]), call);
  }

  /** End it at once, with all that it started. One that has ended stays as it is. */
  async kill(call: CallOptions = {}): Promise<void> {
    await this.#api.send(request("DELETE", this.#where), call);
  }

  /** Send it a signal, such as `TERM`. It is sent once, or an error says that nobody knows. */
  async signal(name: string | number, call: CallOptions = {}): Promise<void> {
    await this.#api.send(request("DELETE", this.#where, { signal: name }, { repeatable: false }), call);
  }

  /** Show its terminal, if it was started with one. */
  terminal(options: TerminalOptions = {}): Terminal {
    return new Terminal(this.#api, this.#where, this.#ending, options);
  }

  #reader(name: StreamName): OutputReader {
    const reader = this.#readers.get(name) ?? this.output(name);
    this.#readers.set(name, reader);
    return reader;
  }
}

/** The commands of a sandbox. */
export class Commands {
  readonly #api: Api;
  readonly #sandboxId: string;

  constructor(api: Api, sandboxId: string) {
    this.#api = api;
    this.#sandboxId = sandboxId;
  }

  /** Start a command, and do not wait for it. The program is looked up in PATH. There is no shell, unless you name one. */
  async spawn(args: readonly string[], options: SpawnOptions = {}): Promise<Command> {
    if (!args.length) throw new TypeError("say which program to run");
    const { env, cwd, timeoutSeconds, container, terminal, ...call } = options;
    const asked = request("POST", this.#where, { container: container || undefined });
    const { told } = await this.#api.ask<{ id: string }>(withJson(asked, { args, env, cwd, timeoutSeconds, terminal }), ["id"], call);
    return new Command(this.#api, this.#sandboxId, told.id);
  }

  /** Run a command to its end. One that is no longer waited for goes on: give it `timeoutSeconds`, or `kill` it. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
    const { input, waitTimeoutMs, ...spawn } = options;
    const { signal } = spawn;
    const command = await this.spawn(args, spawn);
    if (input !== undefined) await feed(command, input, { signal });
    const exitCode = await command.wait({ signal, timeoutMs: waitTimeoutMs });
    const [stdoutBytes, stderrBytes] = await Promise.all([command.stdout.readBytes({ signal }), command.stderr.readBytes({ signal })]);
    const status = await command.status({ signal });
    return {
      id: command.id,
      stdout: decoded(stdoutBytes),
      stderr: decoded(stderrBytes),
      stdoutBytes,
      stderrBytes,
      exitCode,
      cause: status.cause,
      signal: status.signal,
    };
  }

  /** Return all commands that the sandbox remembers, the oldest first. */
  async list(call: CallOptions = {}): Promise<readonly CommandInfo[]> {
    const { told } = await this.#api.ask<{ commands: CommandInfo[] }>(request("GET", this.#where), ["commands"], call);
    return told.commands;
  }

  /** Return a command that was started elsewhere. */
  get(id: string): Command {
    return new Command(this.#api, this.#sandboxId, id);
  }

  get #where(): readonly string[] {
    return ["sandboxes", this.#sandboxId, "commands"];
  }
}

async function feed(command: Command, input: string | Uint8Array, call: CallOptions): Promise<void> {
  try {
    if (input.length) await command.writeStdin(input, call);
    await command.closeStdin(call);
  } catch (error) {
    // As with a pipe that nobody reads, what counts is how the program ended.
    if (!(error instanceof ConflictError)) throw error;
    const ended = await command.wait({ ...call, timeoutMs: 1000 }).catch((late: unknown) => {
      if (late instanceof IsolaTimeoutError) return null;
      throw late;
    });
    if (ended === null) throw error;
  }
}
