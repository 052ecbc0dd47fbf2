// The status page, live: asks for the status once a second and fills the markup that the server sent as templates.
// Sections: words, filling, drawings, history, what is asked for, parts, the page, the link to the monitor.

const POLL = 1000;
const POLL_HIDDEN = 15_000;
const ANSWER_WITHIN = 5000;
const LOST_AFTER = 5000;
const RELOAD_AGAIN_AFTER = 600_000;
const RATE_SECONDS = 60;
const ROWS = 25;
const MORE_ROWS = 100;
const CONNECTIONS = 12;
const OPEN_BY_DEFAULT = 6;
const FINDINGS = 12;
const BARS = 60;
const TROUBLE = new Set(["stale", "silent", "rejected", "down"]);
const ACKNOWLEDGED = new Set(["live", "quiet", "stale"]);
const DAY = 86_400;
const NOTHING = "–";
const FAULTS = {
  nobody: "", monitor: "This monitor", network: "The network", exchange: "The exchange",
  configuration: "The configuration", unclear: "Unclear",
};
const MARKS = {
  u: { words: "up", height: 8 }, s: { words: "subscribing", height: 8 }, t: { words: "topics in trouble", height: 14 },
  e: { words: "short disconnect", height: 22 }, d: { words: "down", height: 22 },
};
const TIMELINE_HEIGHT = 22;
const LATENCIES = ["round_trip_seconds", "acknowledgement_seconds", "pong_seconds"];

const byId = (id) => document.getElementById(id);

// Words: the same as the server's

function latency(seconds) {
  if (!(seconds > 0 && seconds < 1)) return duration(seconds);
  return seconds >= 1e-4 ? `${(seconds * 1e3).toFixed(1)} ms` : `${(seconds * 1e6).toFixed()} µs`;
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return NOTHING;
  if (seconds < 10) return `${Math.floor(seconds * 10) / 10} s`;
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return twoUnits(whole / 60, "min", whole % 60, "s");
  if (whole < DAY) return twoUnits(whole / 3600, "h", (whole % 3600) / 60, "min");
  return twoUnits(whole / DAY, "d", (whole % DAY) / 3600, "h");
}

function twoUnits(large, unit, small, smallerUnit) {
  return `${Math.floor(large)} ${unit}${small >= 1 ? ` ${Math.floor(small)} ${smallerUnit}` : ""}`;
}

/** A time of day, with its day where that is not the last such time. */
function clock(seconds, now = page.now) {
  if (seconds === null) return NOTHING;
  const moment = new Date(seconds * 1000).toISOString();
  return now - seconds < DAY ? moment.slice(11, 19) : moment.slice(0, 19).replace("T", " ");
}

const ago = (seconds) => (seconds === null ? NOTHING : `${duration(seconds)} ago`);
const since = (seconds) => (seconds === null ? "" : `since ${clock(seconds)} UTC`);
const number = (whole) => String(whole).replace(/\B(?=(\d{3})+$)/g, ",");
const count = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
const because = (fault, words) => [FAULTS[fault], words].filter(Boolean).join(": ");
const sum = (values) => values.reduce((total, value) => total + value, 0);

// Filling: what has not changed is not touched

/** Changes the text where it stands: the browser has more to do for a text that is taken out and put in. */
function text(node, words) {
  if (!node.firstChild) node.append(words);
  else if (node.firstChild.data !== words) node.firstChild.data = words;
}

function attribute(node, name, value) {
  if (value === "" || value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** A copy of a template: its outermost element, and its fields by name. */
function copy(template) {
  const node = byId(`${template}-template`).content.firstElementChild.cloneNode(true);
  const fields = {};
  for (const field of node.querySelectorAll("[data-f]")) fields[field.dataset.f] = field;
  return { node, fields };
}

/** Make the children of `parent` the parts for `items`, in their order, reusing those that are there. */
function arrange(parent, parts, items, keyOf, make) {
  const kept = new Set();
  items.forEach((item, index) => {
    const key = keyOf(item);
    kept.add(key);
    if (!parts.has(key)) parts.set(key, make(item));
    const part = parts.get(key);
    if (parent.children[index] !== part.node) parent.insertBefore(part.node, parent.children[index] ?? null);
    part.fill(item);
  });
  for (const key of [...parts.keys()].filter((each) => !kept.has(each))) parts.delete(key);
  while (parent.children.length > items.length) parent.lastElementChild.remove();
}

// Drawings

function svg(name, attributes, children = []) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function picture(width, height, label, shapes) {
  const box = { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label };
  return svg("svg", box, shapes);
}

function timeline(marks, capacity, step, end, label) {
  const shapes = [];
  for (let start = 0, stop; start < marks.length; start = stop) {
    for (stop = start + 1; marks[stop] === marks[start]; ) stop += 1;
    const { words, height } = MARKS[marks[start]];
    const from = capacity - marks.length + start;
    const title = svg("title", {});
    title.textContent = `${words}, ${clock(end - (marks.length - start) * step)} to ${clock(end - (marks.length - stop) * step)}`;
    const place = { x: from, width: stop - start, y: TIMELINE_HEIGHT - height, height, class: `mark-${marks[start]}` };
    shapes.push(svg("rect", place, [title]));
  }
  return picture(capacity, TIMELINE_HEIGHT, `Last 15 minutes: ${label}`, shapes);
}

/** What a timeline shows, in words, each with the colour that it has there. */
function fared(marks, step, end) {
  return Object.entries(MARKS).filter(([mark]) => marks.includes(mark)).map(([mark, { words }]) => {
    const times = [...marks].filter((each) => each === mark).length;
    const lasting = times === marks.length ? `${words} throughout the last` : `${words} for`;
    const told = mark === "e" ? count(times, words) : `${lasting} ${duration(times * step)}`;
    const after = marks.length - 1 - marks.lastIndexOf(mark);
    const key = document.createElement("span");
    key.className = `key mark-${mark}`;
    key.textContent = mark === "u" || !after ? told : `${told}, last at ${clock(end - after * step)}`;
    return key;
  });
}

const over = (samples, step) => `in the last ${duration(samples.length * step)}`;

/** Bars for counts: neighbours are added up, as there are more samples than room. */
function bars(samples, capacity, step) {
  const each = Math.ceil(capacity / BARS);
  const sums = [];
  for (let end = samples.length; end > 0; end -= each) sums.unshift(sum(samples.slice(Math.max(0, end - each), end)));
  const most = Math.max(...sums);
  const shapes = sums.map((value, index) => {
    const height = Math.max(0.06, value / most).toFixed(2);
    return value ? `M${BARS - sums.length + index} 1v-${height}h.8V1z` : "";
  });
  const all = `${count(sum(sums), "message")} ${over(samples, step)}, at most ${number(most)} in ${duration(each * step)}`;
  return picture(BARS, 1, most ? all : `no messages ${over(samples, step)}`, [svg("path", { d: shapes.join("") })]);
}

/** A line through the means of a latency, from zero; gaps where none was measured are bridged. */
function line(samples, capacity, step) {
  const measured = samples.filter((value) => value !== null);
  if (!measured.length) return picture(capacity, 1, `nothing measured ${over(samples, step)}`, []);
  const most = Math.max(...measured);
  const points = [];
  samples.forEach((value, index) => {
    const height = 1 - value / (Math.max(most, 1e-6) * 1.1);
    if (value !== null) points.push(`${capacity - samples.length + index + 0.5},${height.toFixed(3)}`);
  });
  const path = points.length === 1 ? `M${points[0]}h0.01` : `M${points.join("L")}`;
  return picture(capacity, 1, `at most ${latency(most)} ${over(samples, step)}`, [svg("path", { d: path })]);
}

// History: what the samples were, kept up to date by asking for those that are new

const history = { sample: -1, step: 5, capacity: 180, end: 0, connections: new Map() };

function addHistory(told) {
  const added = history.sample < 0 ? told.capacity : told.sample - history.sample;
  const before = added >= 0 && added < told.capacity ? history.connections : new Map();
  history.connections = new Map();
  for (const [target, connections] of Object.entries(told.targets)) {
    for (const [label, news] of Object.entries(connections)) {
      history.connections.set(`${target}/${label}`, joined(before.get(`${target}/${label}`), news, told.capacity));
    }
  }
  Object.assign(history, { sample: told.sample, step: told.step_seconds, capacity: told.capacity });
  history.end = told.timestamp_seconds;
}

function joined(old, news, capacity) {
  const ring = (before = [], after = []) => [...before, ...after].slice(-capacity);
  const messages = {};
  for (const [topic, counts] of Object.entries(news.messages)) messages[topic] = ring(old?.messages[topic], counts);
  const connection = { marks: ((old?.marks ?? "") + news.marks).slice(-capacity), messages };
  for (const name of LATENCIES) connection[name] = ring(old?.[name], news[name]);
  return connection;
}

/** How many messages came in the last minute, or in what there is of it. */
function lately(counts) {
  const latest = counts.slice(-RATE_SECONDS / history.step);
  return { messages: sum(latest), seconds: latest.length * history.step };
}

// What is asked for: the filter, which is also the address

const wanted = { filter: "", state: "", target: "", connection: "" };

function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const key of Object.keys(wanted)) wanted[key] = asked.get(key) ?? "";
  byId("filter").value = wanted.filter;
  byId("state").value = wanted.state;
  byId("target").value = wanted.target;
}

function writeAddress() {
  const asked = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value));
  window.history.replaceState(null, "", asked.size ? `#${asked}` : location.pathname + location.search);
}

function scrollToWanted() {
  if (wanted.connection) document.querySelector(".wanted")?.scrollIntoView({ block: "start" });
}

const isFiltered = () => Object.values(wanted).some(Boolean);

function isAskedFor(topic, connection, target) {
  if (wanted.target && target.target !== wanted.target) return false;
  if (wanted.connection && connection.connection !== wanted.connection) return false;
  if (wanted.state === "trouble" ? !TROUBLE.has(topic.state) : wanted.state && topic.state !== wanted.state) return false;
  const words = wanted.filter.toLowerCase().split(/\s+/);
  const told = [topic.topic, topic.state, target.target, connection.connection, connection.client_id].join(" ").toLowerCase();
  return words.every((word) => told.includes(word));
}

// Parts

class Topic {
  constructor() {
    Object.assign(this, copy("topic"));
    this.drawn = -1;
    this.rate = NOTHING;
  }

  fill({ topic, counts }) {
    const { node, fields } = this;
    const state = topic.state ?? "private";
    const waits = ACKNOWLEDGED.has(state) && !topic.delivered;
    if (this.drawn !== history.sample && counts) this.draw(counts);
    attribute(node, "data-state", state);
    text(fields.topic, topic.topic);
    text(fields.state, state);
    node.toggleAttribute("data-waits", waits);
    text(fields.for, topic.state_seconds === null ? "" : `for ${duration(topic.state_seconds)}${waits ? ", nothing yet" : ""}`);
    text(fields.age, duration(topic.age_seconds));
    text(fields.limit, topic.stale_after_seconds === null ? "" : `of ${duration(topic.stale_after_seconds)}`);
    const filled = topic.age_seconds !== null && topic.stale_after_seconds ? topic.age_seconds / topic.stale_after_seconds : 0;
    attribute(fields.bar, "width", `${Math.round(100 * Math.min(1, filled))}%`);
    text(fields.rate, state === "down" ? NOTHING : this.rate);
    text(fields.usual, topic.rate_ratio === null ? "" : `${number(Math.round(100 * topic.rate_ratio))} %`);
    text(fields.messages, number(topic.messages));
    text(fields.stale, duration(topic.stale_seconds));
    text(fields.last, clock(topic.last_message_timestamp_seconds));
  }

  draw(counts) {
    this.drawn = history.sample;
    const { messages, seconds } = lately(counts);
    if (seconds) this.rate = `${number(messages)} in ${duration(seconds)}`;
    this.fields.spark.replaceChildren(bars(counts, history.capacity, history.step));
  }
}

/** Only what is in sight is filled with every answer; the rest when a state changes there, and with every sample. */
const seen = new WeakSet();
const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) seen[isIntersecting ? "add" : "delete"](target);
  page.draw();
});

class Connection {
  constructor(key) {
    Object.assign(this, copy("connection"));
    sight.observe(this.node);
    this.states = "";
    this.key = key;
    this.topics = new Map();
    this.limit = ROWS;
    this.drawn = -1;
    this.chosen = null;
    this.fields.topics.replaceChildren();
    this.fields.head.addEventListener("click", () => (this.chosen = !this.node.open));
    this.fields.more.addEventListener("click", () => {
      this.limit += MORE_ROWS;
      page.draw();
    });
  }

  fill({ connection, topics, open, isWanted, isAsked }) {
    const { node, fields } = this;
    attribute(node, "data-level", levelOf(connection));
    attribute(fields.head, "data-state", connection.state);
    node.classList.toggle("wanted", isWanted);
    node.open = this.chosen ?? open;
    text(fields.connection, connection.connection);
    text(fields.caption, connection.connection);
    text(fields.state, connection.state);
    text(fields.for, `for ${duration(connection.state_seconds)}`);
    text(fields.trouble, trouble(connection));
    const states = topics.map(({ state }) => state).join();
    const isDue = isAsked || this.drawn !== history.sample || this.states !== states || seen.has(node);
    this.states = states;
    if (node.open && isDue) this.fillInside(connection, topics);
  }

  fillInside(connection, topics) {
    const { fields } = this;
    text(fields.session, connection.client_id ?? NOTHING);
    text(fields.dialect, connection.dialect ?? NOTHING);
    text(fields.up, duration(connection.session_seconds));
    text(fields.pings, pings(connection));
    text(fields.frame, ago(connection.last_frame_ago_seconds));
    text(fields.attempts, attempts(connection));
    text(fields.end, ended(connection.last_end));
    text(fields.failure, failed(connection));
    const past = history.connections.get(this.key);
    const shown = topics.slice(0, this.limit).map((topic) => ({ topic, counts: past?.messages[topic.topic] }));
    arrange(fields.topics, this.topics, shown, ({ topic }) => topic.topic, () => new Topic());
    const left = topics.length - shown.length;
    offer(fields.more, Math.min(left, MORE_ROWS), count(topics.length, "topic"));
    if (this.drawn !== history.sample && past) this.draw(past);
    this.drawn = history.sample;
  }

  draw(past) {
    const { fields } = this;
    const { capacity, step, end } = history;
    const keys = fared(past.marks, step, end);
    const label = keys.map((key) => key.textContent).join(", ");
    fields.timeline.replaceChildren(timeline(past.marks, capacity, step, end, label));
    fields.fared.replaceChildren(...keys);
    for (const name of LATENCIES) {
      const latest = past[name].findLast((value) => value !== null);
      text(fields[name], latency(latest));
      fields[`${name}-spark`].replaceChildren(line(past[name], capacity, step));
    }
  }
}

function offer(button, more, all) {
  button.hidden = !more;
  text(button, more ? `Show ${number(more)} more of ${all}` : "");
}

function levelOf(connection) {
  if (!connection.up || connection.topics_in_trouble) return "bad";
  return connection.state === "live" ? "good" : "waiting";
}

function trouble(connection) {
  const topics = count(connection.topics.length, "topic");
  if (!connection.up) return `${topics} down`;
  return connection.topics_in_trouble ? `${number(connection.topics_in_trouble)} of ${topics} in trouble` : topics;
}

function pings(connection) {
  if (connection.advertised_ping_interval_seconds === null) return NOTHING;
  const timeout = duration(connection.advertised_ping_timeout_seconds);
  return `every ${duration(connection.advertised_ping_interval_seconds)}, timeout ${timeout}`;
}

function attempts(connection) {
  const parts = [number(connection.attempts)];
  if (connection.retry_in_seconds !== null) parts.push(`next in ${duration(connection.retry_in_seconds)}`);
  if (connection.worker_restarts) parts.push(count(connection.worker_restarts, "worker restart"));
  return parts.join(", ");
}

function ended(end) {
  if (end === null) return "none";
  const said = end.close_reason ? `, saying “${end.close_reason}”` : "";
  const error = end.error ? ` (${end.error})` : "";
  return `${ago(end.ago_seconds)} by the ${end.initiator}: ${end.reason}, code ${end.code}${said}${error}`;
}

function failed(connection) {
  return connection.last_failure === null ? "none" : `${ago(connection.last_failure_ago_seconds)}: ${connection.last_failure}`;
}

class Target {
  constructor() {
    Object.assign(this, copy("target"));
    this.connections = new Map();
  }

  fill({ target, connections }) {
    text(this.fields.target, target.target);
    text(this.fields.about, about(target));
    const make = ({ key }) => new Connection(key);
    arrange(this.fields.connections, this.connections, connections, ({ key }) => key, make);
  }
}

function about(target) {
  const left = target.certificate_expires_in_seconds;
  const facts = [target.url];
  if (left !== null) facts.push(left > 0 ? `certificate ends in ${duration(left)}` : "certificate has ended");
  if (target.symbols_dropped) facts.push(`${count(target.symbols_dropped, "symbol")} counted as other`);
  return facts.join(", ");
}

class Finding {
  constructor() {
    Object.assign(this, copy("finding"));
  }

  fill(finding) {
    const { node, fields } = this;
    node.className = `finding ${finding.level}`;
    text(fields.sentence, finding.sentence);
    attribute(fields.sentence, "href", placeOf(finding));
    text(fields.since, since(finding.since_timestamp_seconds));
    text(fields.because, because(finding.fault, finding.because));
    text(fields.runbook, finding.alert ?? "");
    attribute(fields.runbook, "href", runbook(finding.alert));
  }
}

function runbook(alert) {
  return alert ? `${document.body.dataset.runbook}#${alert.toLowerCase()}` : "";
}

/** The headline's own links, to what it is about and to what to do. */
function fillLinks(finding) {
  const place = finding ? placeOf(finding) : "";
  text(byId("place"), place && "Show it");
  attribute(byId("place"), "href", place);
  text(byId("runbook"), finding?.alert ?? "");
  attribute(byId("runbook"), "href", runbook(finding?.alert));
}

function placeOf({ target, connections }) {
  if (target === null) return "";
  const place = new URLSearchParams({ target });
  if (connections.length === 1) place.set("connection", connections[0]);
  return `#${place}`;
}

// The page

class Page {
  constructor() {
    this.targets = new Map();
    this.findings = new Map();
    this.limit = CONNECTIONS;
    this.status = null;
  }

  /** By the monitor's clock, when it told what is shown. */
  get now() {
    return this.status?.timestamp_seconds ?? Date.now() / 1000;
  }

  show(status) {
    const isFirst = this.status === null;
    this.status = status;
    this.draw(isFirst);
    if (isFirst) scrollToWanted();
  }

  draw(isAsked = true) {
    if (this.status === null) return;
    const focused = document.activeElement;
    this.fillVerdict(this.status.verdict);
    this.fillFigures(this.status);
    this.fillTargets(this.status.targets, isAsked);
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  }

  fillVerdict(verdict) {
    byId("verdict").className = verdict.level;
    text(byId("sentence"), verdict.sentence);
    text(byId("because"), because(verdict.fault, verdict.because));
    const begun = verdict.since_timestamp_seconds;
    text(byId("since"), begun === null ? "" : `${since(begun)}, for ${duration(Math.max(0, this.now - begun))}`);
    fillLinks(verdict.findings[0]);
    text(byId("announcement"), [verdict.sentence, because(verdict.fault, verdict.because)].filter(Boolean).join(". "));
    byId("findings").hidden = verdict.findings.length < 2; // a single one is the headline
    const keyOf = (finding) => [finding.kind, finding.target, finding.connections, finding.fault, finding.because].join();
    arrange(byId("finding-list"), this.findings, verdict.findings.slice(0, FINDINGS), keyOf, () => new Finding());
    dress(verdict.level, verdict.sentence);
  }

  fillFigures(status) {
    const connections = status.targets.flatMap((target) => target.connections);
    const up = connections.filter((connection) => connection.up).length;
    const topics = sum(connections.map((connection) => connection.topics.length));
    text(byId("figure-up"), `${number(up)} of ${number(connections.length)}`);
    text(byId("figure-trouble"), `${number(sum(connections.map((each) => each.topics_in_trouble)))} of ${number(topics)}`);
    text(byId("figure-lag"), latency(status.worst_recent_event_loop_lag_seconds));
    text(byId("figure-uptime"), duration(status.uptime_seconds));
    const counts = [...history.connections.values()].flatMap(({ messages }) => Object.values(messages).map(lately));
    const rates = counts.filter(({ seconds }) => seconds).map(({ messages, seconds }) => messages / seconds);
    const total = sum(rates);
    text(byId("figure-rate"), rates.length ? (total < 100 ? total.toFixed(1) : number(Math.round(total))) : NOTHING);
  }

  fillTargets(targets, isAsked) {
    const all = targets.flatMap((target) => target.connections.map((connection) => this.found(connection, target)));
    const found = all.filter(({ topics }) => topics.length || !isFiltered());
    const shown = found.slice(0, this.limit);
    for (const item of shown) {
      item.open = shown.length <= OPEN_BY_DEFAULT || levelOf(item.connection) === "bad";
      item.isAsked = isAsked;
    }
    const groups = targets
      .map((target) => ({ target, connections: shown.filter((item) => item.target === target) }))
      .filter(({ connections }) => connections.length);
    arrange(byId("targets"), this.targets, groups, ({ target }) => target.target, () => new Target());
    this.fillTools(all, found, shown);
  }

  /** A connection with those of its topics that are asked for. */
  found(connection, target) {
    const topics = connection.topics.filter((topic) => isAskedFor(topic, connection, target));
    const isWanted = wanted.connection === connection.connection && (!wanted.target || wanted.target === target.target);
    return { key: `${target.target}/${connection.connection}`, connection, target, topics, isWanted };
  }

  fillTools(all, found, shown) {
    const topics = count(sum(all.map(({ connection }) => connection.topics.length)), "topic");
    const matching = number(sum(found.map((item) => item.topics.length)));
    text(byId("matches"), isFiltered() ? `${matching} of ${topics}` : topics);
    byId("clear").hidden = !isFiltered();
    const left = found.length - shown.length;
    offer(byId("more-connections"), Math.min(left, CONNECTIONS), count(found.length, "connection"));
    byId("empty").hidden = found.length > 0;
    if (all.length) text(byId("empty"), "No topic is as asked for. Clear the filter to see all.");
  }
}

/** The tab says it too, when the page is not in sight. */
function dress(level, title) {
  document.title = `${title} · alpmon`;
  attribute(byId("icon"), "href", document.body.getAttribute(`data-icon-${level}`));
}

const page = new Page();

// The link to the monitor

class Link {
  constructor() {
    this.heard = Date.now();
    this.started = null;
    this.wake = () => {};
  }

  async run() {
    for (;;) {
      try {
        await this.ask();
      } catch (failure) {
        this.fail(failure);
      }
      await this.pause(document.hidden ? POLL_HIDDEN : POLL);
    }
  }

  async ask() {
    const status = await fetched("api/v1/status");
    const other = status.version === document.body.dataset.version ? "" : `, version ${status.version} answers`;
    if (other && mayReload()) return void location.reload();
    const started = status.timestamp_seconds - status.uptime_seconds;
    if (this.started !== null && Math.abs(started - this.started) > 2) history.sample = -1;
    this.started = started;
    const due = history.sample < 1 || status.timestamp_seconds >= history.end + history.step;
    if (due) addHistory(await fetched(`api/v1/history?after=${history.sample}`));
    this.heard = Date.now();
    this.tell("live", `live, ${clock(status.timestamp_seconds, status.timestamp_seconds)} UTC${other}`);
    try {
      page.show(status);
    } catch (bug) {
      reportError(bug); // ours, so nobody shall blame the monitor
    }
  }

  fail(failure) {
    console.debug(failure);
    const at = clock(this.heard / 1000, Date.now() / 1000);
    if (failure.status === 401 || failure.status === 403) {
      this.tell("lost", "login needed", "The monitor asks for a login. Load the page again to give it.");
    } else if (Date.now() - this.heard < LOST_AFTER) {
      this.tell("reconnecting", `reconnecting, last heard ${at} UTC`);
    } else {
      const words = "The monitor does not answer, so nobody can say how the feeds are now.";
      this.tell("lost", `unreachable since ${at} UTC`, `${words} Below is what it said last, at ${at} UTC. Still trying.`);
    }
  }

  tell(state, words, alarm = "") {
    attribute(byId("link"), "data-link", state);
    text(byId("link-text"), words);
    text(byId("lost"), alarm);
    byId("lost").hidden = !alarm;
    document.body.classList.toggle("old", Boolean(alarm));
    if (alarm) dress("waiting", "monitor unreachable");
  }

  pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.wake = () => clearTimeout(timer) ?? resolve();
    });
  }
}

/** Another version answers, which has its own page; but two may answer in turn, behind a balancer. */
function mayReload() {
  try {
    const isDue = Date.now() - Number(sessionStorage.getItem("reloaded")) > RELOAD_AGAIN_AFTER;
    if (isDue) sessionStorage.setItem("reloaded", Date.now());
    return isDue;
  } catch {
    return false; // no storage is to be had, so nobody would know when to stop
  }
}

async function fetched(path) {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_WITHIN) });
  if (!response.ok) throw Object.assign(new Error(`${path}: ${response.status}`), { status: response.status });
  return response.json();
}

// Begin

const link = new Link();

function ask(changes) {
  Object.assign(wanted, changes);
  writeAddress();
  page.draw();
}

byId("filter").addEventListener("input", (event) => ask({ filter: event.target.value.trim(), connection: "" }));
byId("state").addEventListener("change", (event) => ask({ state: event.target.value }));
byId("target").addEventListener("change", (event) => ask({ target: event.target.value, connection: "" }));
byId("tools").addEventListener("submit", (event) => event.preventDefault());
byId("clear").addEventListener("click", () => {
  location.hash = "";
  byId("filter").focus();
});
byId("more-connections").addEventListener("click", () => {
  page.limit += CONNECTIONS;
  page.draw();
});
window.addEventListener("hashchange", () => {
  readAddress();
  page.draw();
  scrollToWanted();
});
document.addEventListener("visibilitychange", () => document.hidden || link.wake());
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input, select")) return;
  event.preventDefault();
  byId("filter").focus();
});

readAddress();
byId("tools").hidden = false;
// first what the server drew is painted, with nothing in its way; a page that is not in sight is never painted
const painted = new Promise((resolve) => {
  new PerformanceObserver(resolve).observe({ type: "paint", buffered: true });
  document.addEventListener("visibilitychange", resolve, { once: true });
  if (document.hidden) resolve();
});
painted.then(() => link.run());
