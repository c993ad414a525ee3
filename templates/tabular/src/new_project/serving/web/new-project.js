/**
 * The page: the form is built from GET /v1/fields, its state lives in the address, every change asks
 * POST /v1/predictions, and the answer is drawn. The service decides what is valid; the page only shows it.
 */

import {
  ProblemError,
  announce,
  byId,
  debounce,
  describeErrors,
  describeFailure,
  describeInterval,
  element,
  enableCopyLink,
  feedbackSender,
  format,
  hideFailure,
  latestOnly,
  numberFormat,
  readAddress,
  requestJson,
  showFailure,
  showModel,
  showNotice,
  writeAddress,
} from "../static/page.js";

const PAUSE = 300; // milliseconds after the last key

const form = byId("row");
const region = byId("region");
const inputs = new Map(); // name -> {field, control, start}
const sendFeedback = feedbackSender();
let shown = null; // the answer on the page
let knownVersion = null;
let retryTimer = 0;

const inNumbers = numberFormat({ maximumSignificantDigits: 4 });

// ---- The form ----

function buildForm(fields) {
  inputs.clear();
  byId("fields").replaceChildren(...fields.map(buildField));
}

function buildField(field) {
  const attributes = { id: `field-${field.name}`, name: field.name, "data-testid": `field-${field.name}`, class: "input" };
  const control = field.kind === "category" ? buildSelect(field, attributes) : buildInput(field, attributes);
  inputs.set(field.name, { field, control, start: control.value });
  const range = field.minimum === null ? "" : `${inNumbers(field.minimum)} to ${inNumbers(field.maximum)} in the data`;
  return element(
    "div",
    { class: "field" },
    element("label", { for: control.id }, field.label),
    element("div", { class: "field-control" }, control),
    range ? element("span", { class: "field-help" }, range) : null,
    element("span", { class: "field-error", id: `error-${field.name}`, "data-testid": `error-${field.name}`, hidden: true }),
  );
}

function buildSelect(field, attributes) {
  const open = element("option", { value: "" }, "Left open");
  const options = field.choices.map((code) => element("option", { value: code, selected: code === field.typical }, code));
  return element("select", attributes, open, ...options);
}

function buildInput(field, attributes) {
  if (field.kind === "date") {
    return element("input", { ...attributes, type: "datetime-local", value: field.typical?.slice(0, 16) });
  }
  const [step, mode] = field.whole ? [1, "numeric"] : ["any", "decimal"];
  const start = field.whole ? field.typical : Number(field.typical?.toPrecision(6));
  return element("input", { ...attributes, type: "number", inputmode: mode, step, value: start });
}

/** The row as the service wants it: open fields are left out. */
function readRow() {
  const row = {};
  const errors = [];
  for (const [name, { field, control }] of inputs) {
    if (control.validity.badInput) errors.push({ field: name, message: "Enter a number." });
    else if (control.value !== "") row[name] = field.kind === "number" ? Number(control.value) : control.value;
  }
  if (errors.length) throw new ProblemError({ status: 422, title: "Not a number", errors });
  return row;
}

function applyAddress() {
  const unused = [];
  for (const [name, value] of readAddress()) {
    const control = inputs.get(name)?.control;
    if (control) control.value = value;
    if (control?.value !== value) unused.push(name);
  }
  showNotice(unused.length ? `The link has values that this model does not know; they are ignored: ${unused.join(", ")}.` : "");
}

/** The address names only what differs from the start, so that links stay short. */
function saveAddress() {
  const changed = [...inputs].filter(([, { control, start }]) => control.value !== start);
  writeAddress(new Map(changed.map(([name, { control }]) => [name, control.value])));
}

function clearErrors() {
  for (const { field, control } of inputs.values()) {
    control.removeAttribute("aria-invalid");
    byId(`error-${field.name}`).hidden = true;
  }
}

/** Shows each error at its field; returns those that name no field of the form. */
function showErrors(errors) {
  return errors.filter((error) => {
    const input = inputs.get(error.field.split(".").at(-1));
    if (!input) return true;
    byId(`error-${input.field.name}`).textContent = error.message;
    byId(`error-${input.field.name}`).hidden = false;
    input.control.setAttribute("aria-invalid", "true");
    return false;
  });
}

// ---- Ask ----

const predict = latestOnly(async (signal) => {
  const answer = await requestJson("v1/predictions", { body: { items: [readRow()] }, signal });
  return { id: answer.id, model: answer.model, ...answer.predictions[0] };
});

async function update() {
  clearTimeout(retryTimer);
  saveAddress();
  if (region.dataset.state === "ready") region.dataset.state = "loading";
  try {
    const answer = await predict();
    if (answer) showAnswer(answer);
  } catch (error) {
    fail(error, update);
  }
}

const updateSoon = debounce(update, PAUSE);

// ---- Answer ----

function showAnswer(answer) {
  shown = answer;
  region.dataset.state = "ready";
  clearErrors();
  hideFailure();
  byId("answer-body").hidden = false;
  const { value, interval, warnings, filled } = answer;
  const range = `between ${inNumbers(interval.low)} and ${inNumbers(interval.high)}`;
  byId("value").value = value;
  byId("value").textContent = inNumbers(value);
  byId("interval").textContent = `${format.percent(interval.coverage)} of such rows lie ${range}.`;
  byId("warnings").hidden = warnings.length === 0;
  byId("warning-list").replaceChildren(...warnings.map((text) => element("li", {}, text)));
  const names = filled.map((name) => inputs.get(name)?.field.label ?? name);
  byId("filled").textContent = names.length ? `Filled in for you: ${names.join(", ")}.` : "";
  sayOfTruth("");
  announce(`Prediction ${inNumbers(value)}, ${range}.`);
  if (answer.model.version !== knownVersion) loadModel();
}

function fail(error, again) {
  const { title, text, retrySeconds } = describeFailure(error);
  region.dataset.state = shown ? "stale" : "empty";
  clearErrors();
  const unplaced = error.status === 422 ? showErrors(error.errors) : [];
  const canRetry = retrySeconds !== null;
  showFailure(title, text, describeErrors(unplaced), canRetry && `Trying again every ${retrySeconds} seconds.`);
  byId("retry").hidden = !canRetry;
  byId("retry").onclick = again;
  clearTimeout(retryTimer);
  if (canRetry) retryTimer = setTimeout(again, 1000 * retrySeconds);
}

// ---- Feedback ----

function sayOfTruth(text) {
  byId("truth-state").textContent = text;
}

async function tell(event) {
  event.preventDefault();
  const { id, value, interval } = shown;
  const truth = Number(byId("truth-value").value.trim() || Number.NaN); // a comma is refused: is 12,5 a half or 125?
  if (!Number.isFinite(truth)) return sayOfTruth("Enter a number without a comma, such as 1234.5.");
  sayOfTruth("Sending…");
  const { failure } = await sendFeedback(id, 0, { value: truth });
  const where = truth >= interval.low && truth <= interval.high ? "inside" : "outside";
  return sayOfTruth(failure || `Thank you. The prediction was off by ${inNumbers(Math.abs(value - truth))}, ${where} the interval.`);
}

// ---- Which model ----

async function loadModel() {
  try {
    const model = await requestJson("v1/model");
    const error = model.metrics.mean_absolute_error;
    knownVersion = model.version;
    showModel(model, { label: "Test error", value: format.metric(error.estimate), note: describeInterval(error) });
    byId("feedback").hidden = !model.feedback;
  } catch (error) {
    knownVersion = null; // the next answer names its model, and asks again
    byId("model-badge").replaceChildren(element("div", {}, `The model is unknown: ${error.message}`));
  }
}

// ---- Start ----

async function start() {
  clearTimeout(retryTimer);
  try {
    buildForm((await requestJson("v1/fields")).fields);
  } catch (error) {
    fail(error, start);
    return;
  }
  applyAddress();
  await loadModel();
  await update();
}

form.addEventListener("input", updateSoon);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(update)); // the controls have their first values only after the event
byId("truth").addEventListener("submit", tell);
enableCopyLink(saveAddress);
start();
