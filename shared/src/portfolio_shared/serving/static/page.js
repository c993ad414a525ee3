/**
 * What every demonstration page needs and none should write twice: requests
 * whose errors are problem+json, number formats, elements built without markup
 * strings, the state of a form in the address, and the parts of page.html: the
 * announcement, the notice of a failure, the link to copy, and the badge of the
 * model. A page's own part is in main.
 *
 * The Content-Security-Policy allows neither inline scripts nor style
 * attributes, so positions are set through `element.style.setProperty`.
 */

const LOCALE = "en-US";
const TIMEOUT_MILLISECONDS = 15_000;
const DEFAULT_RETRY_SECONDS = 5;
const ANNOUNCEMENT_MILLISECONDS = 1000;
const MINUS = "\u2212";
const KEY = "api-key"; // in the session's storage: of this origin, until the tab is closed

// ---- Requests ----

/**
 * The service answered, and the answer is an error (RFC 9457).
 *
 * `errors` has one entry for each refused value: {field, value, message, bound}.
 */
export class ProblemError extends Error {
  constructor({ status, title, detail, instance, errors }, retryAfter = null) {
    super(detail || title || `The service answered with status ${status}.`);
    this.name = "ProblemError";
    this.status = status;
    this.title = title ?? "";
    this.detail = detail ?? "";
    this.requestId = instance ?? "";
    this.errors = errors ?? [];
    this.retryAfter = retryAfter;
  }
}

/** No answer came: the network is gone, or the service, or it took too long. */
export class ConnectionError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = "ConnectionError";
  }
}

/**
 * Sends a request and returns the parsed answer; where the service asks for a key, so does the page, once.
 *
 * @param {string} path relative to the page, so that it also works behind a proxy's prefix
 * @param {{body?: unknown, signal?: AbortSignal, timeout?: number}} [options]
 *   a `body` makes it a POST: FormData is sent as it is, anything else as JSON
 * @throws {ProblemError} the service refused or failed
 * @throws {ConnectionError} no answer within `timeout` milliseconds, or none at all
 * @throws {DOMException} `signal` was aborted
 */
export async function requestJson(path, { body, signal, timeout = TIMEOUT_MILLISECONDS } = {}) {
  const limit = AbortSignal.timeout(timeout);
  const { headers, ...sent } = describeBody(body);
  const key = sessionStorage.getItem(KEY);
  if (key) headers["X-API-Key"] = key;
  byId("service-links").hidden = key !== null; // a link sends no key
  try {
    const response = await fetch(path, { ...sent, headers, signal: signal ? AbortSignal.any([signal, limit]) : limit });
    if (response.ok) return await response.json();
    const problem = await readProblem(response);
    if (problem.status !== 401 || !(await askForKey(key))) throw problem;
    return await requestJson(path, { body, signal, timeout });
  } catch (error) {
    if (error instanceof ProblemError || signal?.aborted) throw error;
    const reason = limit.aborted
      ? `The service did not answer within ${timeout / 1000} seconds.`
      : "The service cannot be reached.";
    throw new ConnectionError(reason, { cause: error });
  }
}

function describeBody(body) {
  if (body === undefined) return { headers: { Accept: "application/json" } };
  if (body instanceof FormData) return { method: "POST", body, headers: { Accept: "application/json" } };
  return {
    method: "POST",
    body: JSON.stringify(body),
    headers: { Accept: "application/json", "Content-Type": "application/json" },
  };
}

let asking = null;

/** Asks for a key in place of the one that was refused; requests at the same time wait for one answer. */
function askForKey(refused) {
  if (sessionStorage.getItem(KEY) !== refused) return true; // another request has asked by now
  const reason = refused ? "The service does not know this key, or no longer." : "";
  asking ??= showKeyDialog(reason).finally(() => (asking = null));
  return asking;
}

function showKeyDialog(reason) {
  const dialog = byId("key-dialog");
  byId("key-reason").textContent = reason;
  byId("key-form").reset();
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        const key = byId("key").value.trim();
        const given = dialog.returnValue === "use" && key !== "";
        if (given) sessionStorage.setItem(KEY, key);
        byId("key-form").reset();
        resolve(given);
      },
      { once: true },
    );
  });
}

async function readProblem(response) {
  const isJson = /json/.test(response.headers.get("Content-Type") ?? "");
  const problem = isJson ? await response.json() : { title: response.statusText };
  const seconds = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  return new ProblemError({ ...problem, status: response.status }, Number.isNaN(seconds) ? null : seconds);
}

/**
 * Wraps a task so that only its latest call counts: a new call aborts the one
 * under way, and a call that was overtaken resolves to `undefined`.
 *
 * @template T
 * @param {(signal: AbortSignal, ...args: any[]) => Promise<T>} task
 * @returns {(...args: any[]) => Promise<T | undefined>}
 */
export function latestOnly(task) {
  let current = null;
  return async (...args) => {
    current?.abort();
    const controller = new AbortController();
    current = controller;
    try {
      const answer = await task(controller.signal, ...args);
      return controller.signal.aborted ? undefined : answer;
    } catch (error) {
      if (controller.signal.aborted) return undefined;
      throw error;
    }
  };
}

/**
 * Says a failure in words for people and whether trying again can help.
 *
 * @param {Error} error
 * @returns {{title: string, text: string, retrySeconds: number | null}}
 * @throws {Error} the same one if neither service nor network failed: a bug of the page belongs in the console
 */
export function describeFailure(error) {
  if (!isServiceFailure(error)) throw error;
  if (error instanceof ConnectionError) {
    return { title: "No connection.", text: error.message, retrySeconds: DEFAULT_RETRY_SECONDS };
  }
  const retrySeconds = error.retryAfter ?? DEFAULT_RETRY_SECONDS;
  if (error.status === 503) {
    return { title: "The model is not ready yet.", text: error.detail, retrySeconds };
  }
  if (error.status === 429) {
    return { title: "The service is busy.", text: error.detail, retrySeconds };
  }
  const reference = error.requestId ? ` Request ${error.requestId}.` : "";
  return { title: `${error.title || "The request failed"}.`, text: `${error.detail}${reference}`, retrySeconds: null };
}

export function isServiceFailure(error) {
  return error instanceof ProblemError || error instanceof ConnectionError;
}

/** What is wrong with each refused value, after its name. */
export function describeErrors(errors = []) {
  return errors.map(({ field, message }) => `${field}: ${message}`).join(" ");
}

/**
 * Returns a function that says what came true of one item of a prediction; the last word of several counts.
 *
 * One is under way at a time. Of an item's words that wait only the newest is sent, and all of them end with it.
 *
 * @returns {(id: string, index: number, truth: object) => Promise<{kept: object | null, failure: string}>}
 *   the truth that was kept last of this item, and why the newest was not, for people to read; empty if it was
 */
export function feedbackSender() {
  const items = new Map();
  let queue = Promise.resolve();
  return (id, index, truth) => {
    const key = `${id} ${index}`;
    const item = items.get(key) ?? { id, index, kept: null };
    items.set(key, item);
    item.newest = truth;
    item.settled ??= queue = queue.then(() => settle(item));
    return item.settled;
  };
}

async function settle(item) {
  const { id, index, newest: truth } = item;
  let failure = "";
  try {
    await requestJson("v1/feedback", { body: { id, index, truth } });
    item.kept = truth;
  } catch (error) {
    failure = whyNotKept(error);
  }
  if (item.newest !== truth) return settle(item);
  item.settled = null;
  return { kept: item.kept, failure };
}

function whyNotKept(error) {
  const { text } = describeFailure(error);
  if (error.status === 404) return "Not kept. The service no longer keeps that answer.";
  return `${error.cause?.name === "TimeoutError" ? "Perhaps not kept" : "Not kept"}. ${text}`;
}

// ---- Time ----

/**
 * Calls `action` once after the calls have stopped for `delay` milliseconds.
 *
 * @param {(...args: any[]) => void} action
 * @param {number | (() => number)} delay a function is asked at every call
 */
export function debounce(action, delay) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...args), typeof delay === "function" ? delay() : delay);
  };
}

// ---- Numbers ----

const dateFormat = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "long", year: "numeric" });

/** Returns a function that formats a number; a negative one has a true minus sign. */
export function numberFormat(options) {
  const formatter = new Intl.NumberFormat(LOCALE, options);
  return (value) => formatter.format(value).replace("-", MINUS);
}

/** Number and date formats. */
export const format = {
  integer: numberFormat({ maximumFractionDigits: 0 }),
  decimal: numberFormat({ maximumFractionDigits: 2 }),
  metric: numberFormat({ maximumSignificantDigits: 3 }),
  percent: numberFormat({ style: "percent", maximumFractionDigits: 0 }),
  date: (isoDate) => dateFormat.format(new Date(isoDate)),
};

// ---- Elements ----

export const byId = (id) => document.getElementById(id);

/**
 * Builds an element. Text is always text: nothing is parsed as markup.
 *
 * @param {string} tag
 * @param {Record<string, string | number | boolean | null | undefined>} [attributes]
 *   `true` sets an empty attribute; `false`, `null` and `undefined` leave it out
 * @param {...(Node | string | null | undefined)} children
 * @returns {HTMLElement}
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Sets CSS custom properties, for example `{"--from": "12%"}`; returns the element. */
export function setProperties(node, properties) {
  for (const [name, value] of Object.entries(properties)) node.style.setProperty(name, String(value));
  return node;
}

// ---- State in the address ----

/** The name-value pairs in the query of the page's address. */
export function readAddress() {
  return new Map(new URLSearchParams(location.search));
}

/** Replaces the query of the page's address; the history gains no entry. */
export function writeAddress(values) {
  const query = new URLSearchParams([...values]).toString();
  const address = query ? `?${query}` : location.pathname;
  history.replaceState(null, "", `${address}${location.hash}`);
}

// ---- The parts of page.html ----

/** Speaks through the live region once a second at most, so that a screen reader does not read every key. */
export const announce = debounce((text) => {
  byId("announcement").textContent = text;
}, ANNOUNCEMENT_MILLISECONDS);

/** Shows a notice above the page, or hides it if the text is empty. */
export function showNotice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
}

/** Shows a failure at the answers; `texts` that are empty are left out. */
export function showFailure(title, ...texts) {
  byId("failure-title").textContent = title;
  byId("failure-text").textContent = texts.filter(Boolean).join(" ");
  byId("failure").hidden = false;
}

export function hideFailure() {
  byId("failure").hidden = true;
}

/** Makes the button copy the address; it stays hidden where a browser has no clipboard: without HTTPS. */
export function enableCopyLink(beforeCopy = () => {}) {
  const button = byId("copy-link");
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    beforeCopy();
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Link copied";
    announce("Link copied");
  });
}

/**
 * Shows which model answers and what it learned from, and whether that is a sample of the data.
 *
 * @param {object} model the answer of GET /v1/model
 * @param {...{label: string, value: string, note: string}} figures of this page, such as the model's error
 */
export function showModel(model, ...figures) {
  const { data } = model;
  const isSample = data.source === "sample";
  const rows = Object.entries(data.rows).map(([name, count]) => `${format.integer(count)} ${name}`);
  const entries = [
    {
      label: "Model",
      value: `${model.name} version ${model.version}`,
      note: `trained ${format.date(model.created)}, loaded from ${withArticle(model.origin)}`,
    },
    {
      label: "Data",
      value: data.name,
      note: `${isSample ? "a sample; " : ""}rows: ${rows.join(", ")}; sha256 ${data.sha256.slice(0, 12)}`,
    },
    ...figures,
    { label: "Code", value: `commit ${model.git_commit.slice(0, 10)}`, note: model.run_id ? `run ${model.run_id}` : "" },
  ];
  byId("model-badge").replaceChildren(...entries.map(badgeEntry));
  byId("sample-name").textContent = data.name;
  byId("sample-notice").hidden = !isSample;
}

/** The confidence interval of a metric in GET /v1/model, in words; empty if it has none. */
export function describeInterval({ low, high }, formatNumber = format.metric) {
  return low === null ? "" : `95% interval ${formatNumber(low)} to ${formatNumber(high)}`;
}

function withArticle(origin) {
  return origin === "path" ? "a folder" : `the ${origin}`;
}

function badgeEntry({ label, value, note }) {
  return element(
    "div",
    {},
    element("dt", {}, label),
    element("dd", { class: "value" }, value),
    element("dd", {}, note),
  );
}
