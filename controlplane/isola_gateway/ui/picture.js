// A life as a picture: a bar from each write to the log to the next one, in the colour of the state, as wide as the logarithm
// of its duration, so that a start of a second and a run of a week can both be seen.

const SVG = "http://www.w3.org/2000/svg";
const GAP = 3;
const BAR = { top: 22, height: 30 };

// Of a longer log the picture shows the latest part.
const MOST = 32;

/** Return "3.2 s", "4 min 10 s", "2 d 3 h" for a number of seconds. */
export function duration(seconds) {
  if (seconds < 0.0995) return `${Math.max(Math.round(seconds * 1000), 0)} ms`;
  if (seconds < 60) return `${seconds < 9.95 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const total = Math.round(seconds);
  const first = units.findIndex(([, size]) => total >= size);
  const parts = units.slice(first, first + 2).map(([name, size], index) => {
    const amount = Math.floor((index ? total % units[first][1] : total) / size);
    return amount || !index ? `${amount} ${name}` : "";
  });
  return parts.filter(Boolean).join(" ");
}

/** Return whether nothing comes after the last entry of a history. */
export function isOver(history) {
  return history.deleted || history.entries.at(-1)?.type === "Terminated";
}

/**
 * Return the steps of a life: {first, last, phase, seconds, goes}: from the entries `first` to `last`, which came in one
 * write, to the next ones, or to now where `goes`.
 */
export function steps(history, now) {
  const found = [];
  history.entries.forEach((entry, index) => {
    const at = Date.parse(entry.lastTransitionTime);
    const before = found.at(-1);
    if (before?.from === at) Object.assign(before, { last: entry.sequence, phase: history.phases[index] });
    else found.push({ first: entry.sequence, last: entry.sequence, phase: history.phases[index], from: at });
  });
  const over = isOver(history);
  found.forEach((step, index) => {
    step.goes = index === found.length - 1 && !over;
    step.seconds = Math.max((found[index + 1]?.from ?? (over ? step.from : now)) - step.from, 0) / 1000;
  });
  if (over && found.length > 1) found.pop(); // nothing comes after the last entry
  return found;
}

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Return the picture of a history, `room` pixels wide, as an SVG that says in words what it shows. */
export function life(history, now, room) {
  const all = steps(history, now);
  const shown = all.slice(-MOST);
  const weights = shown.map((step) => Math.log2(2 + step.seconds * 20));
  const unit = (room - GAP * (shown.length - 1)) / weights.reduce((sum, weight) => sum + weight, 0);
  const words = totals(history, now).map(([phase, seconds, goes]) => `${phase} ${duration(seconds)}${goes ? " so far" : ""}`);
  const picture = element("svg", {
    class: "life", viewBox: `0 0 ${room} 74`, role: "img", "aria-label": `How long it was in each state: ${words.join(", ")}.`,
  });
  let x = 0;
  shown.forEach((step, index) => {
    const width = weights[index] * unit;
    const numbers = step.first === step.last ? `${step.first}` : `${step.first}–${step.last}`;
    const told = duration(step.seconds) + (step.goes ? " so far" : "");
    const group = element("g", { class: step.phase });
    group.append(element("title", {}, `${step.phase}, ${told} from entry ${numbers} on`));
    group.append(element("rect", { x, y: BAR.top, width, height: BAR.height, rx: 3 }));
    if (width > 8 * numbers.length + 10) group.append(element("text", { x: x + 7, y: BAR.top + 20, class: "inside" }, numbers));
    if (width > 8 * told.length) group.append(element("text", { x, y: BAR.top + BAR.height + 17, class: "quiet" }, told));
    if (step.phase !== shown[index - 1]?.phase && width > 50) {
      const fits = x + 8 * step.phase.length < room;
      group.append(element("text", { x: fits ? x : room, y: BAR.top - 7, "text-anchor": fits ? "start" : "end" }, step.phase));
    }
    picture.append(group);
    x += width + GAP;
  });
  return picture;
}

/** Return how long it was in each state in all: [phase, seconds, whether it still is]. */
export function totals(history, now) {
  const sums = new Map();
  for (const step of steps(history, now)) sums.set(step.phase, [(sums.get(step.phase)?.[0] ?? 0) + step.seconds, step.goes]);
  return [...sums].map(([phase, [seconds, goes]]) => [phase, seconds, goes]);
}
