/** What takes a cluster: real gVisor, real object storage, real policies. A program of Node: URL, image, a name of its own. */

import * as sdk from "@isola/sdk";
import { Isola } from "@isola/sdk";

import { type Row, all, equal, holds, outcomes, thrown, until } from "./checks.js";

declare const process: { readonly argv: readonly string[]; exit(code: number): never };

const [, , url = "", image = "", name = ""] = process.argv;
const SANDBOX = { image, timeoutSeconds: 900, startupTimeoutSeconds: 300, maxWaitMs: 300_000 };
const TASK = "/root/task.py";
const LOOK_UP = `
import socket
try:
    print("is", socket.gethostbyname("sdk.test"))
except socket.gaierror:
    print("no such name")
`;

async function sha256(content: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const table: Record<string, Row> = {
  async "an agent writes, runs, mends, keeps and goes on"(client) {
    let made: string;
    {
      await using sandbox = await client.sandboxes.create(SANDBOX);
      made = sandbox.id;
      await sandbox.filesystem.write(TASK, "print(6 *)");
      const broken = await sandbox.commands.run(["python3", TASK]);
      equal(broken.exitCode, 1);
      holds(broken.stderr.includes("SyntaxError"), "it says what is wrong");
      await sandbox.filesystem.write(TASK, "print(6 * 7)");
      equal((await sandbox.commands.run(["python3", TASK])).stdout, "42\n");
      const kept = await client.rootfsSnapshots.create({ sandboxId: made, snapshotName: name, ttlSecondsAfterFinished: 1, labels: { of: name } });
      equal(kept.status, "Succeeded");
    }
    // From here on the bucket alone has it.
    await until(async () => (await client.rootfsSnapshots.list({ labels: { of: name } })).length === 0);
    const again = await client.rootfsSnapshots.adopt(name, { ttlSecondsAfterFinished: 3600, labels: { of: name } });
    equal([again.status, again.data.sandboxId], ["Succeeded", made]);
    equal((await client.rootfsSnapshots.list({ labels: { of: name } })).map((each) => each.id), [again.id]);
    await using restored = await client.sandboxes.create({ ...SANDBOX, rootfsSnapshotName: name });
    equal((await restored.commands.run(["python3", TASK])).stdout, "42\n");
    await again.delete();
  },

  async "a file of 64 MiB comes back as it went, and so does much output at once"(client) {
    await using sandbox = await client.sandboxes.create(SANDBOX);
    const content = new Uint8Array(64 << 20);
    for (let at = 0; at < content.length; at += 65_536) crypto.getRandomValues(content.subarray(at, at + 65_536));
    const sent: number[] = [];
    await sandbox.filesystem.write("/root/blob", new Blob([content]), { onProgress: (done) => void sent.push(done) });
    const digest = await sha256(content);
    equal((await sandbox.commands.run(["sha256sum", "/root/blob"])).stdout.split(" ")[0], digest);
    equal(await sha256(await sandbox.filesystem.read("/root/blob")), digest);
    equal(sent.at(-1), content.length);
    await Promise.all(
      Array.from({ length: 20 }, async (_, number) => {
        const result = await sandbox.commands.run(["sh", "-c", `seq ${number} ${number + 20_000}; exit ${number}`]);
        const expected = Array.from({ length: 20_001 }, (__, line) => `${number + line}\n`).join("");
        holds(result.stdout === expected && result.exitCode === number, `command ${number} said all of it`);
      }),
    );
  },

  async "a shell in a terminal, and a history that is verified after the end"(client) {
    let id: string;
    {
      await using sandbox = await client.sandboxes.create(SANDBOX);
      id = sandbox.id;
      const shell = await sandbox.commands.spawn(["sh"], { terminal: { rows: 33, columns: 101 } });
      await using terminal = shell.terminal();
      await terminal.write("stty size; exit\n");
      const pieces = (await all(terminal)).map((piece) => new TextDecoder().decode(piece));
      holds(pieces.join("").includes("33 101"), "it has its size");
    }
    const entries = await all(client.sandboxes.follow(id));
    equal([entries[0]?.type, entries.at(-1)?.type], ["Accepted", "Terminated"]);
    const history = await client.sandboxes.history(id);
    equal(history.entries.map((entry) => entry.sequence), entries.map((_, index) => index + 1));
    await sdk.verifyHistory(history);
  },

  async "a name is allowed while it lives, and refusals tell which"(client) {
    await using sandbox = await client.sandboxes.create({ ...SANDBOX, network: { allowedEgressDomains: [] } });
    const lookedUp = async () => (await sandbox.commands.run(["python3", "-c", LOOK_UP])).stdout;
    equal(await lookedUp(), "no such name\n");
    await until(async () => (await sandbox.networkRefusals()).refusals.some((each) => each.name === "sdk.test"));
    await sandbox.setNetwork({ allowedEgressDomains: ["sdk.test"] });
    holds((await lookedUp()).startsWith("is "), "it is found");
  },

  async "one that cannot start says why in the error"(client) {
    const cannot = { image: "127.0.0.1:1/nothing:here", startupTimeoutSeconds: 30, maxWaitMs: 300_000 };
    const failed = await thrown(sdk.SandboxFailedError, () => client.sandboxes.create(cannot));
    equal(failed.reason, "ImagePullFailed");
    holds(failed.requestId !== undefined, "it names its request");
    await client.sandboxes.delete(failed.sandboxId);
  },
};

console.log(JSON.stringify(await outcomes(table, new Isola({ url }), url, { only: "", patienceMs: 480_000 })));
process.exit(0); // whatever a row that failed left open
