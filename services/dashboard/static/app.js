// Keeps the start page true: follows the stream of figures and asks the services how they are.
// The server is the only one who draws. Here numbers are replaced where they stand; when the list of pools itself
// changes, the new table is taken from this same page, fetched again.

const texts = JSON.parse(document.getElementById("texts").textContent);
const lang = document.documentElement.lang;
const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const number = (value) => value.toLocaleString(lang);
const fill = (pattern, values) => pattern.replace(/\{(\w+)\}/g, (_, name) => values[name]);

const HEALTH_EVERY = 5000;
const SPEAK_EVERY = 15000; // a reader of the screen is told now and then, not with every seat
const REDRAW_EVERY = 2000;
const RECONNECT_AFTER = 5000;

function write(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

function share(part, whole) {
  if (whole <= 0) return null;
  const tenths = Math.floor((part * 2000 + whole) / (whole * 2));
  return `${Math.floor(tenths / 10)}.${tenths % 10}%`;
}

const free = (pool) => Math.max(0, pool.granted - pool.held - pool.filled);

// --- figures

let shown = one("[data-seats]");
let lastDrawn = 0;
let redraw = null;

function show(figures) {
  const cases = Object.fromEntries(figures.funnel.map((each) => [each.stage, each.cases]));
  for (const row of all("[data-stage]")) {
    const here = cases[row.dataset.stage] ?? 0;
    write(one("[data-cases]", row), number(here));
    write(one("[data-share]", row), share(here, cases.opened ?? 0) ?? "–");
    one("[data-bar]", row).setAttribute("width", share(here, cases.opened ?? 0) ?? "0%");
  }
  if (!showSeats(figures.seats)) redrawSoon();
  const asOf = one("[data-as-of]");
  asOf.dateTime = figures.as_of;
  write(asOf, moment(figures.as_of));
  const words = finding(figures, cases);
  write(one("[data-finding]"), words);
  speak(words);
}

function finding(figures, cases) {
  if (!cases.opened) return texts.nothing;
  const pools = figures.seats.flatMap((run) => run.pools);
  const sum = (of) => number(pools.reduce((total, pool) => total + of(pool), 0));
  return fill(texts.finding, {
    opened: number(cases.opened),
    enrolled: number(cases.enrolled ?? 0),
    share: share(cases.enrolled ?? 0, cases.opened),
    free: sum(free),
    waiting: sum((pool) => pool.waiting),
  });
}

// True when every pool had its row and every row its pool; otherwise the server has to draw again.
function showSeats(runs) {
  const bodies = new Map(all("[data-run]", shown).map((body) => [body.dataset.run, body]));
  let complete = bodies.size === runs.length;
  for (const run of runs) {
    const body = bodies.get(run.course_run_id);
    if (!body || body.dataset.drawing !== drawingOf(run)) {
      complete = false;
      continue;
    }
    for (const pool of run.pools) showPool(one(`[data-pool="${CSS.escape(pool.pool_id)}"]`, body), pool);
  }
  applyFilter();
  return complete;
}

const drawingOf = (run) =>
  [run.course_number, run.field, run.starts_on, Date.parse(run.applications_close_at), ...run.pools.map((pool) => pool.pool_id)].join(" ");

function showPool(row, pool) {
  for (const name of ["granted", "held", "filled", "waiting"]) write(one(`[data-${name}]`, row), number(pool[name]));
  write(one("[data-free]", row), number(free(pool)));
  row.classList.toggle("full", free(pool) === 0);
  one("[data-bar]", row).setAttribute("width", share(pool.filled, pool.granted) ?? "0%");
  one("[data-bar-held]", row).setAttribute("width", share(pool.filled + pool.held, pool.granted) ?? "0%");
}

function redrawSoon() {
  if (redraw) return;
  redraw = setTimeout(async () => {
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (!answer.ok) return;
      const fresh = one("[data-seats]", new DOMParser().parseFromString(await answer.text(), "text/html"));
      carryOver(fresh);
      shown.replaceWith(fresh);
      shown = fresh;
      prepareFilter();
    } catch {
      // The server is away: the next figures try again.
    } finally {
      lastDrawn = Date.now();
      redraw = null;
    }
  }, Math.max(0, lastDrawn + REDRAW_EVERY - Date.now()));
}

// --- filter

let every = new URLSearchParams(location.search).get("every") === "true";

function prepareFilter() {
  const form = one("[data-filter]", shown);
  if (!form) return;
  form.classList.add("scripted");
  form.addEventListener("change", applyFilter);
  form.addEventListener("submit", (event) => event.preventDefault());
  one("[data-more] a", shown).addEventListener("click", (event) => {
    event.preventDefault();
    const first = one(".beyond:not([hidden]) th", shown);
    every = true;
    applyFilter();
    // The button is gone; the reader goes on where it stood.
    first?.setAttribute("tabindex", "-1");
    first?.focus();
  });
  applyFilter();
}

function applyFilter() {
  const form = one("[data-filter]", shown);
  if (!form) return;
  const limit = Number(form.dataset.limit);
  let matching = 0;
  const bodies = all("[data-run]", shown);
  for (const body of bodies) {
    const hasFree = all("[data-pool]", body).some((row) => !row.classList.contains("full"));
    const fits = (!form.field.value || form.field.value === body.dataset.field) && (!form.free.checked || hasFree);
    if (fits) matching += 1;
    body.hidden = !fits;
    body.classList.toggle("beyond", fits && !every && matching > limit);
  }
  write(one("[data-count]", shown), fill(texts.count, { shown: matching, all: bodies.length }));
  one("[data-none]", shown).hidden = matching > 0;
  one("[data-more]", shown).hidden = every || matching <= limit;
}

function carryOver(fresh) {
  const before = one("[data-filter]", shown);
  const after = one("[data-filter]", fresh);
  if (!before || !after) return;
  after.field.value = before.field.value;
  after.free.checked = before.free.checked;
}

// --- the stream

function follow() {
  const stream = new EventSource("v1/figures/stream");
  stream.addEventListener("open", () => connection("live"));
  stream.addEventListener("figures", (event) => {
    connection("live");
    show(JSON.parse(event.data));
  });
  stream.addEventListener("error", () => {
    connection("reconnecting");
    // The browser tries again by itself after a cut line, but gives up for good after an answer like 503.
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, RECONNECT_AFTER);
  });
}

function connection(state) {
  const badge = one(".live-state");
  if (badge.dataset.state === state) return;
  badge.dataset.state = state;
  write(one("[data-live-words]"), texts[state]);
}

let spokenAt = Date.now();
let toSpeak = null;

function speak(words) {
  const waiting = toSpeak !== null;
  toSpeak = words;
  if (waiting) return;
  setTimeout(() => {
    write(one("[data-announce]"), toSpeak);
    toSpeak = null;
    spokenAt = Date.now();
  }, Math.max(0, spokenAt + SPEAK_EVERY - Date.now()));
}

const clock = new Intl.DateTimeFormat(lang === "ja" ? "ja-JP-u-ca-japanese" : "en-GB", {
  ...(lang === "ja" ? { era: "long" } : {}),
  year: "numeric", month: "long", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false, timeZone: "Asia/Tokyo",
});
const moment = (text) => clock.format(new Date(text)).replace(" at ", ", ");

// --- what runs

async function ask(card) {
  const service = card.dataset.service;
  let health = null;
  try {
    const answer = await fetch(`../${service}/health/ready`, { cache: "no-store", signal: AbortSignal.timeout(HEALTH_EVERY) });
    health = await answer.json(); // a service that is not ready says so with 503 and the same body
  } catch {
    health = null;
  }
  const state = !health ? "away" : health.status === "ready" ? "ready" : "not_ready";
  card.dataset.state = state;
  write(one("[data-state-words]", card), texts[state]);
  write(one("[data-unsent]", card), health ? (health.unsent === 0 ? texts.none : age(health.oldest_unsent_seconds)) : "–");
  write(one("[data-parked]", card), health ? number(health.parked ?? 0) : "–");
  write(one("[data-version-words]", card), health?.version ?? "–");
}

function age(seconds) {
  if (seconds === null || seconds === undefined) return texts.none;
  if (seconds < 60) return fill(texts.seconds, { n: number(Math.round(seconds)) });
  if (seconds < 3600) return fill(texts.minutes, { n: number(Math.round(seconds / 60)) });
  return fill(texts.hours, { n: number(Math.round(seconds / 3600)) });
}

async function watch() {
  // A page nobody looks at asks nothing.
  if (!document.hidden) await Promise.all(all("[data-service]").map(ask));
  setTimeout(watch, HEALTH_EVERY);
}

prepareFilter();
follow();
watch();
