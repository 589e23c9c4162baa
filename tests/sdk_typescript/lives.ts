/** Random lives of commands: each gets input, or prints a file, and every byte of its output must be right. */

import { Isola } from "@isola/sdk";

declare const process: { readonly argv: readonly string[] };

const [url = "", sandboxId = "", count = "", seed = ""] = process.argv.slice(2);
const AT_ONCE = 4;

/** mulberry32: from a number, numbers that look random. */
function generator(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function same(found: Uint8Array, expected: Uint8Array, what: string): void {
  if (found.length !== expected.length || found.some((byte, index) => byte !== expected[index])) {
    throw new Error(`${what}: ${found.length} bytes came, ${expected.length} were right`);
  }
}

async function live(client: Isola, number: number): Promise<void> {
  const random = generator(Number(seed) * 100_003 + number);
  const size = [0, 1, 100, 10_000, 300_000][Math.floor(random() * 5)] ?? 0;
  const data = Uint8Array.from({ length: size }, () => random() * 256);
  const code = Math.floor(random() * 100);
  const { commands, filesystem } = await client.sandboxes.get(sandboxId);
  const counted = `echo ran >> /tmp/runs-${number}; `;
  if (number % 2) {
    const ran = await commands.run(["sh", "-c", `${counted}tee /dev/fd/2; exit ${code}`], { input: data });
    same(ran.stdoutBytes, data, "stdout");
    same(ran.stderrBytes, data, "stderr");
    if (ran.exitCode !== code || ran.cause !== "Exited") throw new Error(`it ended with ${ran.exitCode} ${ran.cause}`);
    return;
  }
  const [path, half] = [`/tmp/file-${number}`, size >> 1];
  await filesystem.write(path, () => new Blob([data]).stream());
  const script = `${counted}head -c ${half} ${path}; sleep 0.1; tail -c ${size - half} ${path}; exit ${code}`;
  const command = await commands.spawn(["sh", "-c", script]);
  same(new Uint8Array(await new Response(command.stdout.stream()).arrayBuffer()), data, "stdout");
  if ((await command.wait()) !== code) throw new Error("it ended otherwise");
  same(await filesystem.read(path), data, "a file");
}

const client = new Isola({ url, retrying: { attempts: 12, firstMs: 10, longestMs: 300 } });
let next = 0;
const failures: string[] = [];
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (let number = next++; number < Number(count); number = next++) {
      await live(client, number).catch((error: unknown) => failures.push(`life ${number}: ${String((error as Error).stack)}`));
    }
  }),
);
console.log(JSON.stringify(failures));
