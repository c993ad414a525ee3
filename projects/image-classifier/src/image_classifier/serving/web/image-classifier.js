/**
 * The picture page: choose, drop, paste or photograph; each picture gets its answer, a wrong file its reason.
 * Each picture is a request of its own, so that answers come as they are ready; few are under way at a time, because
 * the service refuses more than its limit.
 */

import {
  announce,
  byId,
  describeFailure,
  describeInterval,
  element,
  format,
  hideFailure,
  isServiceFailure,
  requestJson,
  setProperties,
  showFailure,
  showModel,
} from "../static/page.js";
import { feedbackOn } from "./feedback.js";

const AT_ONCE = 2; // uploads under way
const TRIES = 4; // of one picture, while the service is busy
const LONGEST_PAUSE = 30; // seconds; a longer one is not waited for, but named
const UPLOAD_MILLISECONDS = 60_000; // the service gives an upload 30 s, and its computation another 30 s
const EXAMPLE_MILLISECONDS = 15_000;
const STORED =
  "Stored to check the model: the answer, what you say of it, numbers about the picture and a fingerprint of the file. " +
  "Never the photograph or its name.";
const NOT_STORED = "What you choose is classified and forgotten: nothing is stored.";
const region = byId("results");
const answers = byId("answers");
let maxFiles = 32; // the service says both
let maxFileBytes = Infinity;
let labels = [];
let takesFeedback = false;
let work = newWork();

// ---- Pictures come in ----

/** What Clear throws away: the pictures that wait, and by the signal those under way. */
function newWork() {
  return { queue: [], sending: 0, controller: new AbortController() };
}

function take(files) {
  const chosen = [...files];
  if (!chosen.length) return;
  hideFailure();
  if (chosen.length > maxFiles) {
    showFailure("Too many pictures at once.", `The first ${maxFiles} of ${chosen.length} are classified.`);
  }
  byId("nothing").hidden = true;
  byId("clear").hidden = false;
  byId("heat-switch").hidden = false;
  const rows = chosen.slice(0, maxFiles).map((file) => ({ file, row: newRow(file) }));
  answers.prepend(...rows.map(({ row }) => row));
  showRegion();
  work.queue.push(...rows);
  while (work.sending < AT_ONCE && work.queue.length) sendQueue(work);
}

/** Like `take`, for ways in that may hold no file at all: text, a link, a picture dragged from another page. */
function takeOrExplain(files, text) {
  if (files?.length) return take(files);
  showFailure("That was no picture.", text);
  showRegion();
}

/** Sends one picture after the other until none waits; `take` runs at most `AT_ONCE` of these. */
async function sendQueue(mine) {
  mine.sending += 1;
  showState();
  while (mine.queue.length) {
    const { file, row } = mine.queue.shift();
    await classify(file, row, mine.controller.signal);
  }
  mine.sending -= 1;
  showState();
}

/** Shows the answer or the reason why there is none; never throws, so that the next picture has its turn. */
async function classify(file, row, signal) {
  try {
    const body = new FormData();
    body.append("files", await read(file), file.name || "pasted picture");
    const answer = await ask(body, row, signal);
    if (!signal.aborted) showAnswer(row, answer.results[0], answer.id);
  } catch (error) {
    if (!signal.aborted) showRefusal(row, error);
  }
}

/** Refuses here what the service would refuse after the upload, and what the browser cannot read, such as a folder. */
async function read(file) {
  if (file.size > maxFileBytes) {
    const [size, limit] = [file.size, maxFileBytes].map((bytes) => format.decimal(bytes / 1e6));
    throw new Refusal(`It has ${size} MB. Files of up to ${limit} MB are read.`);
  }
  try {
    return new Blob([await file.arrayBuffer()], { type: file.type });
  } catch {
    throw new Refusal("The browser cannot read it: it is a folder, or it was moved or changed.");
  }
}

/** A file that is not sent, and why. */
class Refusal extends Error {}

async function ask(body, row, signal) {
  for (let attempt = 1; ; attempt += 1) {
    signal.throwIfAborted();
    try {
      const path = "v1/classifications?top_k=5&heat=true";
      return await requestJson(path, { body, signal, timeout: UPLOAD_MILLISECONDS });
    } catch (error) {
      // As long as the service asks for, and longer each time: it asks everybody for the same second.
      const seconds = Math.max(error.retryAfter ?? 0, 2 ** (attempt - 1));
      if (!isBusy(error) || attempt === TRIES || seconds > LONGEST_PAUSE) throw error;
      if (!signal.aborted) showPause(row, error, seconds);
      await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
    }
  }
}

function isBusy(error) {
  return error.status === 429 || error.status === 503;
}

/** The state of the answers: those that Clear threw away no longer count. */
function showState() {
  region.dataset.state = work.sending ? "loading" : answers.children.length ? "ready" : "empty";
}

/** On a narrow screen the answers are below what was touched. */
function showRegion() {
  if (!matchMedia("(min-width: 60rem)").matches) region.scrollIntoView();
}

// ---- Answers ----

function newRow(file) {
  const preview = element("img", { class: "preview", alt: "", src: URL.createObjectURL(file) });
  const box = element("div", { class: "picture" }, preview);
  preview.addEventListener("error", () => {
    box.replaceChildren(element("p", { class: "no-preview" }, "No preview"));
    URL.revokeObjectURL(preview.src);
  });
  preview.addEventListener("load", () => {
    setProperties(box, { "--ratio": preview.naturalWidth / preview.naturalHeight });
    URL.revokeObjectURL(preview.src);
  });
  const outcome = element("div", { class: "outcome" }, element("p", { class: "soft" }, "Looking at it"));
  const name = element("p", { class: "file" }, file.name || "pasted picture");
  return element("li", { class: "waiting", "data-testid": "answer" }, box, element("div", {}, name, outcome));
}

function showAnswer(row, result, id) {
  row.classList.remove("waiting");
  const outcome = row.querySelector(".outcome");
  if (result.error) return showText(row, "This file was not classified.", result.error.detail);
  const [first] = result.predictions;
  row.dataset.unsure = String(Boolean(result.unsure));
  const unfamiliar = result.unsure?.reason === "unfamiliar";
  const title = result.unsure ? (unfamiliar ? "Not sure: none of these?" : `Not sure: ${first.label}?`) : first.label;
  const parts = [element("h3", { "data-testid": "title" }, title)];
  if (result.unsure) {
    parts.push(element("p", { class: "notice", "data-kind": "warning", "data-testid": "unsure" }, result.unsure.detail));
  }
  if (unfamiliar) parts.push(element("p", { class: "set" }, "If it had to choose:"));
  parts.push(bars(result.predictions));
  if (!unfamiliar) parts.push(setOf(result));
  if (takesFeedback) parts.push(feedbackOn(id, result, labels));
  outcome.replaceChildren(...parts);
  showHeat(row, result);
  announce(`${result.file}: ${title}, ${format.percent(first.probability)}`);
}

function bars(predictions) {
  const list = element("dl", { class: "bars", "data-testid": "bars" });
  for (const { label, probability } of predictions) {
    const bar = setProperties(element("div", { class: "bar" }), { "--share": `${100 * probability}%` });
    list.append(
      element("dt", {}, label),
      element("dd", { "aria-hidden": "true" }, bar),
      element("dd", { class: "number" }, percent(probability)),
    );
  }
  return list;
}

function percent(share) {
  if (share > 0 && share < 0.01) return "<1%";
  if (share < 1 && share > 0.99) return ">99%";
  return format.percent(share);
}

function setOf(result) {
  const coverage = format.percent(result.coverage);
  const text =
    result.label_set.length === 1
      ? `The only label it cannot rule out at ${coverage}.`
      : `It cannot rule out, at ${coverage}: ${result.label_set.join(", ")}.`;
  return element("p", { class: "set", "data-testid": "label-set" }, text);
}

function showHeat(row, { heat, crop }) {
  if (!heat || !crop) return;
  const overlay = element("img", { class: "heat", alt: "Brighter where the evidence for the first label lies", src: heat });
  const place = { "--left": crop.left, "--top": crop.top, "--width": crop.width, "--height": crop.height };
  setProperties(overlay, Object.fromEntries(Object.entries(place).map(([name, share]) => [name, `${100 * share}%`])));
  row.querySelector(".picture").append(overlay);
}

function showPause(row, error, seconds) {
  const text = `${describeFailure(error).title} Trying again in ${seconds} s.`;
  row.querySelector(".outcome").replaceChildren(element("p", { class: "soft" }, text));
}

function showRefusal(row, error) {
  row.classList.remove("waiting");
  const detail = error instanceof Refusal ? error.message : error.errors?.[0]?.message;
  if (detail) return showText(row, "This file was not classified.", detail);
  const { title, text } = describe(error);
  showText(row, title, text);
}

/** The failure in words for people: also a busy service, and an answer that this page does not understand. */
function describe(error) {
  if (error.status === 429) {
    const when = error.retryAfter > LONGEST_PAUSE ? `in ${error.retryAfter} seconds` : "in a minute";
    return { title: "The service is busy.", text: `It answers many others just now. Try again ${when}.` };
  }
  if (isServiceFailure(error)) return describeFailure(error);
  console.error(error);
  return { title: "Something went wrong.", text: "The page does not understand the answer. Reload it and try again." };
}

function showText(row, title, text) {
  const strong = element("strong", {}, title);
  const notice = element("div", { class: "notice", "data-kind": "error", "data-testid": "file-error" }, strong, ` ${text}`);
  row.querySelector(".outcome").replaceChildren(notice);
  announce(`${title} ${text}`);
}

// ---- Ways in ----

for (const input of [byId("files"), byId("camera")]) {
  input.addEventListener("change", () => {
    take(input.files);
    input.value = ""; // the same file may be chosen again
  });
}

const drop = byId("drop");
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.dataset.over = "true";
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) delete drop.dataset.over;
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  delete drop.dataset.over;
  takeOrExplain(event.dataTransfer?.files, "Drop a file: save the picture first if it is on another page.");
});
document.addEventListener("paste", (event) => {
  takeOrExplain(event.clipboardData?.files, "The clipboard holds no picture. Copy one, or choose its file.");
});
byId("upload").addEventListener("submit", (event) => event.preventDefault());
byId("heat").addEventListener("change", (event) => {
  answers.dataset.heat = String(event.target.checked);
});
byId("clear").addEventListener("click", () => {
  work.controller.abort();
  work = newWork();
  answers.replaceChildren();
  announce("Cleared."); // and not an answer that was about to be read
  hideFailure();
  byId("nothing").hidden = false;
  byId("clear").hidden = true;
  byId("heat-switch").hidden = true;
  showState();
  byId("files").focus();
});

// ---- Start ----

function showExamples(examples) {
  byId("examples").hidden = !examples.length;
  byId("example-list").replaceChildren(
    ...examples.map(({ name }) => {
      // Relative to the page, so that it also works behind a proxy's prefix, which the service does not know.
      const url = `v1/examples/${encodeURIComponent(name)}`;
      const picture = element("img", { src: url, alt: `Example: ${name}`, loading: "lazy" });
      const button = element("button", { type: "button", "data-testid": "example" }, picture);
      button.addEventListener("click", () => takeExample(name, url));
      return element("li", {}, button);
    }),
  );
}

async function takeExample(name, url) {
  const { signal } = work.controller;
  const limit = AbortSignal.timeout(EXAMPLE_MILLISECONDS);
  try {
    const response = await fetch(url, { signal: AbortSignal.any([signal, limit]) });
    const blob = await response.blob();
    if (signal.aborted) return;
    if (response.ok) return take([new File([blob], name, { type: blob.type })]);
    showNoExample(`The service answered with status ${response.status}.`);
  } catch {
    if (signal.aborted) return;
    showNoExample(limit.aborted ? "The service takes too long." : "The service cannot be reached.");
  }
}

function showNoExample(reason) {
  showFailure("This example cannot be loaded.", `${reason} Try it again, or choose a picture of your own.`);
  showRegion();
}

async function start() {
  try {
    const [known, model] = await Promise.all([requestJson("v1/labels"), requestJson("v1/model")]);
    maxFiles = known.limits.max_files;
    maxFileBytes = known.limits.max_file_bytes;
    labels = known.labels;
    byId("labels").textContent = `${labels.join(", ")}.`;
    const megabytes = format.integer(known.limits.max_file_bytes / 1e6);
    byId("limits").textContent = `${known.formats.join(", ").replace("WEBP", "WebP")}; up to ${megabytes} MB each, ${maxFiles} at a time.`;
    takesFeedback = model.feedback;
    byId("stored").textContent = takesFeedback ? STORED : NOT_STORED;
    showExamples(known.examples);
    const { accuracy } = model.metrics;
    const note = describeInterval(accuracy, format.percent);
    showModel(model, { label: "Test accuracy", value: format.percent(accuracy.estimate), note });
    hideFailure();
  } catch (error) {
    const failure = describe(error);
    showFailure(failure.title, failure.text);
    if (failure.retrySeconds) setTimeout(start, failure.retrySeconds * 1000);
  }
}

start();
