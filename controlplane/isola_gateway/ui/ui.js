// The page: a list of sandboxes or snapshots and the life of one, both as the REST API tells them, both live.
// Whatever a sandbox or a caller wrote gets here as text, and is put into the page as text.

import { duration, isOver, life, totals } from "./picture.js";

const API = "../v1";
// What there is to look at, by its place in the API, which is also its place here.
const KINDS = {
  sandboxes: {
    title: "Sandboxes", one: "Sandbox", many: "sandboxes", event: "sandbox",
    states: ["Pending", "Running", "Terminating", "Succeeded", "Failed"], about: () => "",
  },
  "rootfs-snapshots": {
    title: "Snapshots of root file systems", one: "Snapshot", many: "snapshots", event: "rootfsSnapshot",
    states: ["Pending", "Running", "Succeeded", "Failed"],
    about: (snapshot) => h("div", { class: "faint" }, `${snapshot.snapshotName}, of sandbox ${snapshot.sandboxId}`),
  },
};
const MOST_RECORDS = 200;
const TICK = 1000;
// Several entries come in one write: look once for all of them.
const SETTLE = 50;

const main = document.getElementById("main");
const connection = document.getElementById("connection");

/** Return an element. Children are elements or text; of attributes, `onX` are listeners. */
function h(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== ""));
  return made;
}

const state = (phase) => h("span", { class: `state ${phase}` }, phase);
const path = (place, id, uid) => `#/${place}/${encodeURIComponent(id)}${uid ? `?uid=${encodeURIComponent(uid)}` : ""}`;
const ago = (text) => `${duration((Date.now() - Date.parse(text)) / 1000)} ago`;

function time(text) {
  const at = new Date(text);
  const clock = at.toLocaleTimeString([], { hour12: false });
  return h("time", { datetime: text, title: text }, `${at.toLocaleDateString()} ${clock}.${String(at.getMilliseconds()).padStart(3, "0")}`);
}

async function fetched(url) {
  const response = await fetch(url, { headers: { Accept: "application/json" } });
  const body = await response.json();
  if (!response.ok) throw new Error(body.detail ?? response.statusText);
  return body;
}

function connected(is, words = is ? "live" : "connection lost, trying again …") {
  connection.textContent = words;
  connection.classList.toggle("lost", !is);
}

/** Follow server-sent events; the browser connects again by itself, and a proxy's error is waited out as well. */
function follow(url, listeners) {
  let source, retry;
  const open = () => {
    source = new EventSource(url);
    source.onopen = () => { connected(true); listeners.open?.(); };
    source.onerror = () => {
      connected(false);
      if (source.readyState === EventSource.CLOSED) retry = setTimeout(open, 3000);
    };
    for (const [name, listener] of Object.entries(listeners)) {
      if (name !== "open") source.addEventListener(name, (event) => listener(JSON.parse(event.data)));
    }
  };
  open();
  return () => { clearTimeout(retry); source.close(); };
}

// --- the list ---------------------------------------------------------------------------------

function list(place) {
  const kind = KINDS[place];
  document.title = place === "sandboxes" ? "Isola" : `${kind.title} · Isola`;
  const items = new Map();
  const rows = new Map();
  let synced = false;

  const name = h("input", { type: "search", name: "name", autocomplete: "off", oninput: () => arrange() });
  const status = h("select", { name: "status", onchange: () => arrange() }, h("option", { value: "" }, "any"), ...kind.states.map((s) => h("option", {}, s)));
  const counts = h("p", { class: "faint", role: "status" }, "…");
  const body = h("tbody");
  const gone = h("tbody");
  main.replaceChildren(
    h("h1", {}, kind.title),
    h("form", { onsubmit: (event) => event.preventDefault() }, h("label", {}, "Name or label contains", name), h("label", {}, "State", status)),
    counts,
    h("table", {}, h("caption", { class: "skip" }, `Living ${kind.many}, newest first`), head(kind.one, "State", "Created", "Labels"), body),
    h("h2", {}, "Gone, and on record"),
    h("table", {}, h("caption", { class: "skip" }, `Deleted ${kind.many}, latest first`), head(kind.one, "Recorded"), gone),
  );

  function row(shown) {
    const labels = Object.entries(shown.labels ?? {}).map(([key, value]) => h("span", { class: "label" }, `${key}=${value}`));
    return h("tr", { class: synced ? `new ${shown.status}` : undefined },
      h("td", {}, h("a", { class: "id", href: path(place, shown.id) }, shown.id), kind.about(shown)), h("td", {}, state(shown.status)),
      h("td", { class: "faint age", title: shown.creationTimestamp }, ago(shown.creationTimestamp)), h("td", {}, ...labels));
  }

  function wanted(item) {
    const text = [item.id, item.snapshotName ?? "", ...Object.entries(item.labels ?? {}).map((pair) => pair.join("="))].join(" ");
    return text.includes(name.value.trim()) && (!status.value || item.status === status.value);
  }

  function arrange() {
    const order = [...items.values()].sort((a, b) => b.creationTimestamp.localeCompare(a.creationTimestamp) || a.id.localeCompare(b.id));
    const chosen = order.filter(wanted);
    const focused = document.activeElement;
    body.replaceChildren(...chosen.map((item) => rows.get(item.id)));
    if (body.contains(focused)) focused.focus();
    const by = kind.states.map((s) => [s, order.filter((item) => item.status === s).length]).filter(([, count]) => count);
    counts.textContent = order.length
      ? `${chosen.length} of ${order.length} shown: ${by.map(([s, count]) => `${count} ${s}`).join(", ")}`
      : `No ${kind.many} at present.`;
    for (const [id, made] of rows) made.querySelector(".age").textContent = ago(items.get(id).creationTimestamp);
  }

  let due;
  const soon = () => { if (synced) due ??= setTimeout(() => { due = undefined; arrange(); }, SETTLE); };

  async function records() {
    const told = await fetched(`${API}/records?kind=${kind.event}&limit=${MOST_RECORDS}`);
    gone.replaceChildren(...told.records.map((record) => h("tr", {},
      h("td", {}, h("a", { class: "id", href: path(place, record.id, record.uid) }, record.id)),
      h("td", { class: "faint", title: record.recordedAt }, ago(record.recordedAt)))));
    if (!told.records.length) gone.append(h("tr", {}, h("td", { colspan: 2, class: "faint" }, "None.")));
  }
  const look = () => records().catch((error) => gone.replaceChildren(h("tr", {}, h("td", { colspan: 2, class: "problem" }, error.message))));

  const stop = follow(`${API}/${place}`, {
    // Everything is told again on a new connection, but not what went meanwhile.
    open: () => { synced = false; items.clear(); rows.clear(); },
    [kind.event]: (item) => { items.set(item.id, item); rows.set(item.id, row(item)); soon(); },
    removed: ({ id }) => { items.delete(id); rows.delete(id); soon(); look(); },
    synced: () => { synced = true; arrange(); look(); },
  });
  const ticking = setInterval(() => soon(), TICK * 10);
  return () => { stop(); clearInterval(ticking); clearTimeout(due); };
}

function head(...names) {
  return h("thead", {}, h("tr", {}, ...names.map((name) => h("th", { scope: "col" }, name))));
}

// --- one of them ------------------------------------------------------------------------------

function one(place, id, uid) {
  document.title = `${id} · Isola`;
  const url = `${API}/${place}/${encodeURIComponent(id)}/history`;
  const query = uid ? `?uid=${encodeURIComponent(uid)}` : "";
  const title = h("h1", {}, h("span", { class: "id" }, id), " ");
  const verdict = h("div", { class: "verdict", role: "status" }, h("p", {}, "…"));
  const picture = h("div");
  const legend = h("ul", { class: "legend" });
  const log = h("ol", { class: "log" });
  main.replaceChildren(
    h("p", {}, h("a", { href: place === "sandboxes" ? "#/" : `#/${place}` }, `All ${KINDS[place].many}`)), title, verdict,
    h("h2", {}, "Its life"), picture, legend,
    h("p", { class: "faint" }, "From entry to entry of its log, by their numbers. Widths are logarithmic: a bar twice as wide is a much longer time."),
    h("h2", {}, "Its log"), log,
    h("p", { class: "faint" }, "As JSON, digests and all: ", h("a", { href: url + query }, "history"), "."),
  );
  let history, stop = () => {}, due, ended = false;

  function draw() {
    if (!history) return;
    const now = Date.now();
    picture.replaceChildren(life(history, now, picture.clientWidth));
    legend.replaceChildren(...totals(history, now).map(([phase, seconds, going]) =>
      h("li", { class: `state ${phase}` }, phase, h("span", {}, `${duration(seconds)}${going ? " so far" : ""}`))));
  }

  function show() {
    const phase = history.phases.at(-1) ?? "Pending";
    title.replaceChildren(h("span", { class: "id" }, id), " ", state(phase), history.deleted ? h("span", { class: "faint" }, " gone; this is its record") : "");
    verdict.className = `verdict ${phase}`;
    verdict.replaceChildren(h("p", {}, history.verdict.sentence), history.verdict.advice ? h("p", { class: "faint" }, `What to do: ${history.verdict.advice}.`) : "");
    const known = log.children.length;
    history.entries.slice(known).forEach((entry, index) => {
      const at = known + index;
      log.append(line(entry, history.sincePreviousSeconds[at], history.phases[at], known > 0));
    });
    draw();
    ended = isOver(history);
    if (ended) { stop(); connected(true, "complete"); }
  }

  async function look() {
    try {
      history = await fetched(url + query);
      show();
    } catch (error) {
      verdict.className = "verdict Failed";
      verdict.replaceChildren(h("p", { class: "problem" }, error.message));
    }
  }

  look().then(() => {
    if (ended || !history) return;
    // The stream says when to look; what is shown is what the log amounts to by then.
    const more = (query ? `${query}&` : "?") + "follow=true";
    stop = follow(url + more, { message: () => { due ??= setTimeout(() => { due = undefined; look(); }, SETTLE); } });
  });
  const ticking = setInterval(() => { if (!ended) draw(); }, TICK);
  return () => { stop(); clearInterval(ticking); clearTimeout(due); };
}

function line(entry, since, phase, isNew) {
  const details = [["actor", entry.actor], ["request", entry.requestId], ...Object.entries(entry.data ?? {}), ["generation", entry.observedGeneration], ["digest", entry.digest]];
  return h("li", { class: `${phase}${isNew ? " new" : ""}` },
    h("span", { class: "number", "aria-label": `Entry ${entry.sequence}` }, String(entry.sequence)),
    h("div", {}, h("span", { class: "what" }, `${entry.type}=${entry.status}`), ` ${entry.reason} `,
      h("span", { class: "faint" }, since === null ? "" : `+${duration(since)} · `, time(entry.lastTransitionTime), ` · ${entry.actor}`)),
    h("div", {}, entry.message),
    h("details", {}, h("summary", {}, "details"), h("dl", {}, ...details.filter(([, value]) => value !== undefined && value !== "")
      .flatMap(([key, value]) => [h("dt", {}, key), h("dd", { class: key === "digest" ? "digest" : undefined }, String(value))]))));
}

// --- where we are -----------------------------------------------------------------------------

let leave = () => {};

function route() {
  if (location.hash === "#main") return; // the skip link
  leave();
  connected(true, "connecting …");
  const [where, query] = location.hash.slice(1).split("?");
  const [, asked, id] = where.split("/");
  const place = Object.hasOwn(KINDS, asked ?? "") ? asked : "sandboxes";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${place}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  leave = id ? one(place, decodeURIComponent(id), new URLSearchParams(query).get("uid")) : list(place);
}

addEventListener("hashchange", () => { route(); main.focus({ preventScroll: true }); scrollTo(0, 0); });
route();
