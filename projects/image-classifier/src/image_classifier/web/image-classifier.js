/**
 * The picture page: choose, drop, paste or photograph; each picture gets its answer, a wrong file its reason.
 * Pictures are sent one by one, so that answers come as they are ready.
 */

import {
  createAnnouncer,
  describeFailure,
  element,
  format,
  renderModelBadge,
  renderSampleNotice,
  requestJson,
  setProperties,
} from "../static/page.js";

const RETRIES = 3;
const byId = (id) => document.getElementById(id);
const region = byId("results");
const answers = byId("answers");
const announce = createAnnouncer(byId("announcement"));
let maxFiles = 32; // the service says it
let waiting = 0;

// ---- Pictures come in ----

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
  if (!matchMedia("(min-width: 60rem)").matches) region.scrollIntoView();
  classifyAll(rows);
}

async function classifyAll(rows) {
  setWaiting(rows.length);
  for (const { file, row } of rows) {
    await classify(file, row);
    setWaiting(-1);
  }
}

function setWaiting(change) {
  waiting += change;
  region.dataset.state = waiting ? "loading" : answers.children.length ? "ready" : "empty";
}

async function classify(file, row, attempt = 1) {
  const body = new FormData();
  body.append("files", file, file.name || "pasted picture");
  try {
    const answer = await requestJson("v1/classifications?top_k=5&heat=true", { body });
    showAnswer(row, answer.results[0]);
  } catch (error) {
    const busy = error.status === 429 || error.status === 503;
    if (busy && attempt < RETRIES) {
      await new Promise((resolve) => setTimeout(resolve, (error.retryAfter ?? 1) * 1000));
      return classify(file, row, attempt + 1);
    }
    showRefusal(row, error);
  }
}

// ---- Answers ----

function newRow(file) {
  const preview = element("img", { class: "preview", alt: "", src: URL.createObjectURL(file) });
  const box = element("div", { class: "picture" }, preview);
  preview.addEventListener("error", () => {
    box.replaceChildren(element("p", { class: "no-preview" }, "No preview"));
  });
  preview.addEventListener("load", () => {
    setProperties(box, { "--ratio": preview.naturalWidth / preview.naturalHeight });
    URL.revokeObjectURL(preview.src);
  });
  const said = element("div", { class: "said" }, element("p", { class: "soft" }, "Looking at it"));
  const name = element("p", { class: "file" }, file.name || "pasted picture");
  return element("li", { class: "waiting", "data-testid": "answer" }, box, element("div", {}, name, said));
}

function showAnswer(row, result) {
  row.classList.remove("waiting");
  const said = row.querySelector(".said");
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
  said.replaceChildren(...parts);
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

function showRefusal(row, error) {
  row.classList.remove("waiting");
  const detail = error.errors?.[0]?.message;
  if (detail) return showText(row, "This file was not classified.", detail);
  const failure = describeFailure(error);
  showText(row, failure.title, failure.text);
}

function showText(row, title, text) {
  const said = element("strong", {}, title);
  const notice = element("div", { class: "notice", "data-kind": "error", "data-testid": "file-error" }, said, ` ${text}`);
  row.querySelector(".said").replaceChildren(notice);
  announce(`${title} ${text}`);
}

function showFailure(title, text) {
  byId("failure-title").textContent = title;
  byId("failure-text").textContent = text;
  byId("failure").hidden = false;
}

function hideFailure() {
  byId("failure").hidden = true;
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
  take(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => take(event.clipboardData.files));
byId("upload").addEventListener("submit", (event) => event.preventDefault());
byId("heat").addEventListener("change", (event) => {
  answers.dataset.heat = String(event.target.checked);
});
byId("clear").addEventListener("click", () => {
  answers.replaceChildren();
  hideFailure();
  byId("nothing").hidden = false;
  byId("clear").hidden = true;
  byId("heat-switch").hidden = true;
  setWaiting(0);
  byId("files").focus();
});

// ---- Start ----

function showExamples(examples) {
  byId("examples").hidden = !examples.length;
  byId("example-list").replaceChildren(
    ...examples.map(({ name, url }) => {
      const picture = element("img", { src: url, alt: `Example: ${name}`, loading: "lazy" });
      const button = element("button", { type: "button", "data-testid": "example" }, picture);
      button.addEventListener("click", async () => {
        const response = await fetch(url);
        const blob = await response.blob();
        take([new File([blob], name, { type: blob.type })]);
      });
      return element("li", {}, button);
    }),
  );
}

async function start() {
  try {
    const [known, model] = await Promise.all([requestJson("v1/labels"), requestJson("v1/model")]);
    maxFiles = known.limits.max_files;
    byId("labels").textContent = `${known.labels.join(", ")}.`;
    const megabytes = format.integer(known.limits.max_file_bytes / 1e6);
    byId("limits").textContent = `${known.formats.join(", ").replace("WEBP", "WebP")}; up to ${megabytes} MB each, ${maxFiles} at a time.`;
    showExamples(known.examples);
    const { accuracy } = model.metrics;
    const note = `${format.percent(accuracy.low)} to ${format.percent(accuracy.high)} (95 % interval), test pictures`;
    const right = { label: "Right", value: format.percent(accuracy.estimate), note };
    renderModelBadge(byId("model-badge"), model, [right]);
    renderSampleNotice(byId("sample-notice"), model);
    hideFailure();
  } catch (error) {
    const failure = describeFailure(error);
    showFailure(failure.title, failure.text);
    if (failure.retrySeconds) setTimeout(start, failure.retrySeconds * 1000);
  }
}

start();
