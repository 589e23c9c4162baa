/**
 * What the client can be asked, against a real gateway: one table, in every runtime. Nothing here knows which one it is.
 *
 * A row that ends is right; one that throws is told with what it threw.
 */

import * as sdk from "@isola/sdk";
import { Isola } from "@isola/sdk";

import { type Row, all, bytes, equal, holds, joined, outcomes, same, thrown, until } from "./checks.js";

const IMAGE = "busybox";
const utf8 = new TextEncoder();

/** Cut an answer off after so many bytes. */
function cut(answer: Response, size: number): Response {
  const reader = answer.body?.getReader();
  let left = size;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = left > 0 ? await reader?.read() : undefined;
      if (!next?.value) {
        await reader?.cancel();
        return controller.error(new Error("cut"));
      }
      controller.enqueue(next.value.subarray(0, left));
      left -= next.value.length;
    },
    cancel: () => reader?.cancel(),
  });
  const { status, headers } = answer;
  return new Response(body, { status, headers });
}

const table: Record<string, Row> = {
  async "a sandbox is made, found by its labels, and gone after its block"(client) {
    const run = crypto.randomUUID();
    let id: string;
    {
      await using sandbox = await client.sandboxes.create({ image: IMAGE, labels: { run }, timeoutSeconds: 600, cpu: 0.25, memory: 64 });
      id = sandbox.id;
      equal([sandbox.status, sandbox.labels], ["Running", { run }]);
      equal(sandbox.containers[0]?.resources?.limits, { cpu: "250m", memory: "64Mi" });
      holds(sandbox.creationTimestamp.getTime() > 0, "it has a time");
      equal((await client.sandboxes.list({ labels: { run } })).map((each) => each.id), [id]);
      equal(await client.sandboxes.list({ labels: `run=${run}`, status: "Failed" }), []);
      const begun = sandbox.expiresAt?.getTime() ?? 0;
      await sandbox.setTimeout(1200);
      equal((sandbox.expiresAt?.getTime() ?? 0) - begun, 600_000);
      equal((await sandbox.refresh()).data.timeoutSeconds, 1200);
      equal((await (await client.sandboxes.get(id)).wait()).id, id);
    }
    const entries = await all(client.sandboxes.follow(id));
    equal(entries.at(-1)?.type, "Terminated");
    await until(async () => !(await client.sandboxes.list({ labels: { run } })).length);
    await thrown(sdk.NotFoundError, () => client.sandboxes.get(id));
    await client.sandboxes.delete(id);
  },

  async "several containers, pages of a list"(client) {
    const run = crypto.randomUUID();
    const options = { containers: [{ image: IMAGE, name: "a", env: { A: "1" } }, { image: IMAGE }], labels: { run }, maxWaitMs: 0 };
    const made = [await client.sandboxes.create(options), await client.sandboxes.create(options), await client.sandboxes.create(options)];
    equal(made[0]?.containers.map((each) => each.name), ["a", "sandbox1"]);
    equal((await all(client.sandboxes.iterate({ labels: { run }, pageSize: 2 }))).map((each) => each.id).sort(), made.map((each) => each.id).sort());
    for (const each of made) await each.delete();
  },

  async "errors say what, where, and by which request"(client, url) {
    const missing = await thrown(sdk.NotFoundError, () => client.sandboxes.get("none"));
    equal([missing.status, missing.name, missing instanceof sdk.APIError, missing instanceof Error], [404, "NotFoundError", true, true]);
    holds(/^[0-9a-f]{32}$/.test(missing.requestId ?? "") && missing.message.includes(missing.requestId ?? "-"), "it names its request");
    const wrong = await thrown(sdk.ValidationError, () => client.sandboxes.create({ image: "" }));
    equal(wrong.violations[0]?.location, "body.podTemplate.containers[0].image");
    await thrown(sdk.ValidationError, () => client.sandboxes.get("A B"));
    await thrown(RangeError, () => client.sandboxes.delete(".."));
    await thrown(TypeError, () => client.sandboxes.create({} as never));
    await thrown(TypeError, () => new Isola({ url: "ftp://host" }));
    const nobody = new Isola({ url: "http://127.0.0.1:1", retrying: { attempts: 2, firstMs: 1 } });
    const lost = await thrown(sdk.APIConnectionError, () => nobody.sandboxes.list());
    holds(!lost.message.includes("fetch failed"), "it says why");
    const silent = new Isola({ url, fetch: () => new Promise(() => undefined) });
    const late = await thrown(sdk.IsolaTimeoutError, () => silent.sandboxes.list({ deadlineMs: 20 }));
    holds(late.requestId !== undefined, "it names its request");
    await thrown(TypeError, () => new Isola({ url, headers: { "no header": "x" } }).sandboxes.list());
    const odd = new Isola({ url: `${url}/odd` });
    await thrown(sdk.NotFoundError, () => odd.sandboxes.list());
  },

  async "a fetch of one's own, headers, and one key for all attempts"(_, url) {
    const seen: Headers[] = [];
    const own: sdk.Fetch = async (target, init) => {
      seen.push(new Headers(init.headers));
      if (seen.length < 3) return new Response("", { status: 503, headers: { "Retry-After": "0" } });
      return fetch(target, init);
    };
    const client = new Isola({ url: `${url}/`, fetch: own, headers: { Authorization: "Bearer x" }, retrying: { firstMs: 1 } });
    const sandbox = await client.sandboxes.create({ image: IMAGE });
    const keys = new Set(seen.slice(0, 3).map((each) => each.get("Idempotency-Key")));
    equal([keys.size, keys.has(null), seen[0]?.get("Authorization")], [1, false, "Bearer x"]);
    await sandbox.delete();
  },

  async "a signal ends a call, a pause and a stream, with its own reason"(client) {
    await using sandbox = await client.sandboxes.create({ image: IMAGE });
    const reason = new Error("enough");
    await thrown(Error, () => client.sandboxes.list({ signal: AbortSignal.abort(reason) })).then((error) => equal(error === reason, true));
    const command = await sandbox.commands.spawn(["sh", "-c", "echo a; sleep 1000"]);
    for (const endless of [(signal: AbortSignal) => command.wait({ signal }), (signal: AbortSignal) => command.output("stdout").text({ signal })]) {
      const controller = new AbortController();
      setTimeout(() => controller.abort(reason), 50);
      equal((await thrown(Error, () => endless(controller.signal))) === reason, true);
    }
    const reader = command.output("stdout").stream().getReader();
    equal((await reader.read()).value?.length, 2);
    const pending = reader.read();
    await reader.cancel();
    equal((await pending).done, true);
    await thrown(sdk.IsolaTimeoutError, () => command.wait({ timeoutMs: 10 }));
    await command.kill();
    equal([await command.wait(), (await command.status()).cause], [-1, "Signalled"]);
  },

  async "a command runs, with input, environment, directory and bytes as they are"(client) {
    await using sandbox = await client.sandboxes.create({ image: IMAGE });
    const { commands } = sandbox;
    const ran = await commands.run(["sh", "-c", "echo out; echo err >&2; exit 3"]);
    equal([ran.stdout, ran.stderr, ran.exitCode, ran.cause], ["out\n", "err\n", 3, "Exited"]);
    equal((await commands.run(["cat"], { input: "fed é" })).stdout, "fed é");
    equal((await commands.run(["cat"], { input: "" })).stdout, "");
    const data = bytes(300_000);
    same((await commands.run(["cat"], { input: data })).stdoutBytes, data);
    equal((await commands.run(["true"], { input: bytes(3_000_000) })).exitCode, 0);
    equal((await commands.run(["sh", "-c", "echo $A; pwd"], { env: { A: "x y" }, cwd: "/usr" })).stdout, "x y\n/usr\n");
    equal((await commands.run(["printf", "a\\r\\nb\\rc\\377\\342\\202"])).stdout, "a\nb\nc\ufffd\ufffd\ufffd");
    equal((await commands.run(["sleep", "100"], { timeoutSeconds: 1 })).cause, "TimedOut");
    equal((await commands.run(["no-such-program"])).exitCode, 127);
    await thrown(TypeError, () => commands.run([]));
    await thrown(sdk.BadRequestError, () => commands.run(["true"], { cwd: "/none" }));
    await thrown(sdk.IsolaTimeoutError, () => commands.run(["sleep", "3"], { waitTimeoutMs: 10 }));
  },

  async "output comes as it is made; input goes in; signals arrive; commands are listed"(client) {
    await using sandbox = await client.sandboxes.create({ image: IMAGE });
    const command = await sandbox.commands.spawn(["sh", "-c", "while read l; do echo got $l; done; exit 4"]);
    const output = command.stdout[Symbol.asyncIterator]();
    for (const word of ["one", "two"]) {
      await command.writeStdin(`${word}\n`);
      equal((await output.next()).value, `got ${word}\n`);
    }
    equal((await command.status()).exitCode, null);
    await command.closeStdin();
    equal([await command.wait(), (await output.next()).done, await command.stderr.text()], [4, true, ""]);
    await thrown(TypeError, () => command.stdout.text());
    await thrown(sdk.ConflictError, () => command.writeStdin("late"));
    equal(await command.output("stdout", { offset: 8 }).text(), "got two\n");
    const trapped = await sandbox.commands.spawn(["sh", "-c", "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done"]);
    for await (const text of trapped.stdout) {
      if (text === "up\n") await trapped.signal("TERM");
      else equal(text, "bye\n");
    }
    equal(await trapped.wait(), 7);
    const listed = (await sandbox.commands.list()).find((each) => each.id === trapped.id);
    equal([listed?.exitCode, listed?.args[0]], [7, "sh"]);
    equal(await sandbox.commands.get(trapped.id).stdout.text(), "up\nbye\n");
  },

  async "files go up and come down as streams, told on the way"(client) {
    await using sandbox = await client.sandboxes.create({ image: IMAGE });
    const { filesystem } = sandbox;
    const [place, data] = [`/tmp/${sandbox.id}/é +&`, bytes(1_000_000)];
    const parts = (): ReadableStream<Uint8Array> => new Blob([data]).stream();
    async function* generated(): AsyncGenerator<Uint8Array> {
      yield data.subarray(0, 10);
      yield data.subarray(10);
    }
    for (const [content, expected] of [["tëxt", utf8.encode("tëxt")], [new Uint8Array(), new Uint8Array()], [data, data], [data.buffer, data], [new Blob([data]), data], [parts(), data], [parts, data], [generated(), data]] as const) {
      const told: [number, number | undefined][] = [];
      await filesystem.write(place, content, { onProgress: (...each) => told.push(each) });
      equal(told.at(-1)?.[0] ?? 0, expected.length);
      await filesystem.write(`${place}2`, typeof content === "object" && !(content instanceof Uint8Array) && Symbol.asyncIterator in content ? generated() : content);
      const came: [number, number | undefined][] = [];
      const found = await filesystem.read(place, { onProgress: (...each) => came.push(each) });
      same(found, expected);
      if (expected.length) equal(came.at(-1), [expected.length, expected.length]);
    }
    equal(joined(await all(filesystem.stream(place))).length, data.length);
    const broken = new Error("mine");
    let pulls = 0;
    const failing = new ReadableStream<Uint8Array>({
      pull: (controller) => (pulls++ ? controller.error(broken) : controller.enqueue(data.subarray(0, 100_000))),
    });
    equal((await thrown(Error, () => filesystem.write(place, failing))) === broken, true);
    equal((await filesystem.stat(place)).size, data.length);
    await thrown(sdk.NotFoundError, () => filesystem.read(`${place}/none`).catch(() => filesystem.read("/tmp/none")));
    await thrown(sdk.BadRequestError, () => filesystem.read("/tmp"));
    await filesystem.remove(`/tmp/${sandbox.id}`, { recursive: true });
  },

  async "what is cut goes on at the very byte, or says how far it came"(client, url) {
    await using sandbox = await client.sandboxes.create({ image: IMAGE });
    const [path, data] = [`/tmp/${sandbox.id}/f`, bytes(200_000)];
    await sandbox.filesystem.write(path, data);
    const command = await sandbox.commands.spawn(["sh", "-c", `cat ${path}; read l; cat ${path}`]);
    let [cuts, lose] = [0, false];
    const far = new Isola({
      url,
      retrying: { attempts: 3, firstMs: 1 },
      fetch: async (target, init) => {
        if (!/stdout|filesystem\?/.test(target)) return fetch(target, init);
        if (lose && !cuts) throw new Error("refused");
        const answer = await fetch(target, init);
        return cuts && cuts-- ? cut(answer, 50_000) : answer;
      },
    });
    const there = await far.sandboxes.get(sandbox.id);
    cuts = 3;
    same(await there.filesystem.read(path), data);
    [cuts, lose] = [1, true];
    const lost = await thrown(sdk.StreamLostError, () => there.commands.get(command.id).stdout.text());
    holds(lost.offset > 0 && lost.message.includes(`${lost.offset} bytes had come`), "it says how far it came");
    [cuts, lose] = [2, false];
    const rest = there.commands.get(command.id).output("stdout", { offset: lost.offset }).readBytes();
    await command.writeStdin("go\n");
    same(await rest, joined([data, data]).subarray(lost.offset));
    const half = there.filesystem.stream(path).getReader();
    cuts = 1;
    await half.read();
    await sandbox.filesystem.write(path, "another");
    const changed = await thrown(sdk.StreamLostError, async () => {
      while (!(await half.read()).done);
    });
    holds(changed.message.includes("another one by now"), "it says why");
  },

  async "files are listed, looked at, made, moved, removed and watched"(client) {
    await using sandbox = await client.sandboxes.create({ image: IMAGE });
    const { filesystem } = sandbox;
    const top = `/tmp/${sandbox.id}`;
    equal([await filesystem.mkdir(`${top}/d/e`), await filesystem.mkdir(`${top}/d/e`)], [true, false]);
    const watching = filesystem.watch(top, { recursive: true });
    equal((await watching.next()).value?.kind, "ready");
    await filesystem.write(`${top}/f`, "text");
    const change = (await watching.next()).value;
    equal([change?.path, change?.type], [`${top}/f`, "file"]);
    await watching.return();
    equal((await filesystem.list(top)).map((each) => [each.name, each.type]), [["d", "directory"], ["f", "file"]]);
    equal((await all(filesystem.iterate(top, { pageSize: 1 }))).length, 2);
    const entry = await filesystem.stat(`${top}/f`);
    equal([entry.size, entry.permissions], [4, "0644"]);
    await filesystem.move(`${top}/f`, `${top}/g`);
    equal([await filesystem.exists(`${top}/f`), await filesystem.readText(`${top}/g`)], [false, "text"]);
    await thrown(sdk.ConflictError, () => filesystem.move(`${top}/d`, `${top}/g`));
    await thrown(sdk.ConflictError, () => filesystem.remove(top));
    await filesystem.remove(top, { recursive: true });
    await thrown(sdk.NotFoundError, () => filesystem.remove(top));
  },

  async "a terminal shows, takes, and is resized"(client, url) {
    await using sandbox = await client.sandboxes.create({ image: IMAGE });
    const command = await sandbox.commands.spawn(["sh"], { terminal: { rows: 40, columns: 120 } });
    {
      await using terminal = command.terminal();
      await terminal.write("stty size; echo e''nd\n");
      const decoder = new TextDecoder();
      let text = "";
      for await (const piece of terminal) {
        text += decoder.decode(piece, { stream: true });
        if (text.includes("end\r\n")) break;
      }
      holds(text.includes("40 120"), "it has its size");
      await terminal.resize({ rows: 10, columns: 20 });
      await terminal.write("stty size; exit 5\n");
      const rest = new TextDecoder().decode(joined(await all(terminal)));
      holds(rest.includes("10 20"), "it was resized");
      equal([terminal.status?.exitCode, await command.wait()], [5, 5]);
      const again = command.terminal({ offset: terminal.offset - 4 });
      equal(joined(await all(again)).length, 4);
      equal(again.status?.exitCode, 5);
    }
    const sockets: WebSocket[] = [];
    const open: sdk.OpenWebSocket = (target) => {
      const socket = new WebSocket(target);
      sockets.push(socket);
      return socket;
    };
    const counting = await sandbox.commands.spawn(["sh", "-c", "stty -echo; read l; seq 500; sleep 0.5; seq 500; exit 6"], { terminal: { rows: 4, columns: 80 } });
    const unlucky = (await new Isola({ url, webSocket: open, retrying: { firstMs: 1 } }).sandboxes.get(sandbox.id)).commands.get(counting.id).terminal();
    await unlucky.write("\n");
    let shown = 0;
    for await (const piece of unlucky) {
      shown += piece.length;
      if (sockets.length < 2) sockets.at(-1)?.dispatchEvent(new Event("error"));
    }
    equal([sockets.length, shown, unlucky.status?.exitCode], [2, (await counting.stdout.readBytes()).length, 6]);
    const piped = await sandbox.commands.spawn(["true"]);
    const impatient = new Isola({ url, retrying: { attempts: 2, firstMs: 1 } });
    const far = (await impatient.sandboxes.get(sandbox.id)).commands;
    await thrown(sdk.StreamLostError, () => all(far.get(piped.id).terminal()));
    await thrown(sdk.NotFoundError, () => far.get(crypto.randomUUID()).terminal().write("x"));
  },

  async "a history is read, followed and proves itself"(client) {
    const sandbox = await client.sandboxes.create({ image: IMAGE });
    const following = sandbox.follow();
    equal((await following.next()).value?.sequence, 1);
    const history = await sandbox.history();
    equal([history.deleted, history.phases.length, history.verdict.sentence.length > 0], [false, history.entries.length, true]);
    equal(await sdk.verifyHistory(history), history.entries.at(-1)?.digest);
    const forged = history.entries.map((each, index) => (index === 1 ? { ...each, message: "forged" } : each));
    equal((await thrown(sdk.TamperedHistoryError, () => sdk.verifyHistory({ ...history, entries: forged }))).sequence, 2);
    equal((await thrown(sdk.TamperedHistoryError, () => sdk.verifyHistory({ ...history, entries: history.entries.slice(1) }))).sequence, 1);
    await thrown(sdk.TamperedHistoryError, () => sdk.verifyHistory({ ...history, uid: "another" }));
    await sandbox.delete();
    const rest = await all(following);
    equal(rest.at(-1)?.type, "Terminated");
    await until(async () => (await client.sandboxes.history(sandbox.id)).deleted);
    const record = await client.sandboxes.history(sandbox.id, { uid: history.uid });
    equal([record.deleted, await sdk.verifyHistory(record)], [true, rest.at(-1)?.digest]);
    holds((await all(client.sandboxes.records())).some((each) => each.uid === history.uid), "it is on record");
  },

  async "the network of a living sandbox is changed, and its refusals are told"(client) {
    await using sandbox = await client.sandboxes.create({ image: IMAGE, network: { allowedEgressCIDRs: ["8.8.8.0/24"] } });
    equal(sandbox.data.network, { allowedEgressCIDRs: ["8.8.8.0/24"] });
    await sandbox.setNetwork({ allowedEgressCIDRs: ["9.9.9.0/24"] });
    equal((await sandbox.refresh()).data.network, { allowedEgressCIDRs: ["9.9.9.0/24"] });
    equal(await sandbox.networkRefusals(), { refusals: [], replicas: 0, silent: 0 });
  },

  async "snapshots are asked for, waited for, listed and deleted"(client) {
    await using sandbox = await client.sandboxes.create({ image: IMAGE });
    const made = await client.rootfsSnapshots.create({ sandboxId: sandbox.id, maxWaitMs: 0, labels: { of: sandbox.id } });
    equal([made.snapshotName, made.data.timeoutSeconds], [sandbox.id, 300]);
    equal((await client.rootfsSnapshots.list({ labels: { of: sandbox.id } })).map((each) => each.id), [made.id]);
    // This installation has no object storage.
    const failed = await thrown(sdk.SnapshotFailedError, () => made.wait());
    holds(Boolean(failed.reason) && failed.message.includes(failed.reason ?? "-"), "it says why");
    equal((await client.rootfsSnapshots.get(made.id)).status, "Failed");
    equal(await sdk.verifyHistory(await made.history()).then((digest) => digest.length), 64);
    await thrown(sdk.SnapshotFailedError, () => client.rootfsSnapshots.adopt(`none-${sandbox.id}`));
    await made.delete();
  },
};

export function run(url: string, only = ""): Promise<Record<string, string | null>> {
  return outcomes(table, new Isola({ url }), url, { only, patienceMs: 120_000 });
}
