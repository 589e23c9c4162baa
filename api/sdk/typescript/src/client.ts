/** The client: where everything begins. */

import { Api, type OpenWebSocket } from "./api.js";
import type { Fetch } from "./exchange.js";
import type { Retrying } from "./protocol/retrying.js";
import { Sandboxes } from "./sandboxes.js";
import { RootfsSnapshots } from "./snapshots.js";

export interface IsolaOptions {
  /** The gateway's address. Default: the environment's `ISOLA_URL`, where there is an environment. */
  readonly url?: string | undefined;
  /** Of every request, such as an `Authorization` for what stands before the gateway; not of WebSockets. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** In place of the platform's own: with a proxy, certificates, a pool. */
  readonly fetch?: Fetch | undefined;
  /** In place of the platform's own, for terminals: Node has one from version 22 on. */
  readonly webSocket?: OpenWebSocket | undefined;
  /** How often and how fast to try again. */
  readonly retrying?: Retrying | undefined;
  /** The deadline of each call, attempts included, unless it waits or moves a file. Default: 120 000. */
  readonly callDeadlineMs?: number | undefined;
}

/** A gateway. It holds nothing that would have to be closed. */
export class Isola {
  readonly sandboxes: Sandboxes;
  readonly rootfsSnapshots: RootfsSnapshots;

  constructor(options: IsolaOptions = {}) {
    const api = new Api(checked(options.url ?? environment("ISOLA_URL")), {
      headers: options.headers ?? {},
      // Called as a function of nothing: some platforms refuse it as a method of something else.
      fetch: options.fetch ?? ((url, init) => fetch(url, init)),
      webSocket: options.webSocket ?? (typeof WebSocket === "undefined" ? undefined : (url) => new WebSocket(url)),
      retrying: options.retrying ?? {},
      callDeadlineMs: options.callDeadlineMs ?? 120_000,
    });
    this.sandboxes = new Sandboxes(api);
    this.rootfsSnapshots = new RootfsSnapshots(api);
  }
}

function checked(url: string | undefined): string {
  const found = url?.trim().replace(/\/+$/, "");
  if (!found) throw new TypeError("say where the gateway is: by `url`, or ISOLA_URL in the environment");
  if (!/^https?:\/\/[^/?#]+[^?#]*$/.test(found)) {
    throw new TypeError(`the gateway's URL must be like http://host:port, not ${JSON.stringify(url)}`);
  }
  return found;
}

/** Node, Bun and Deno have `process`; others have no environment, and Deno may not let us read it. */
function environment(name: string): string | undefined {
  try {
    const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
    return process?.env?.[name];
  } catch {
    return undefined;
  }
}
