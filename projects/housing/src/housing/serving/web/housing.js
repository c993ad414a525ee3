/**
 * The housing page. Read downwards: the form is built from GET /v1/fields, its
 * state lives in the address, every change asks POST /v1/predictions, and the
 * answer is drawn. The service decides what is valid; the page only shows it.
 */

import {
  ProblemError,
  announce,
  byId,
  dataElement,
  debounce,
  describeErrors,
  describeFailure,
  element,
  enableCopyLink,
  format,
  hideFailure,
  latestOnly,
  readAddress,
  requestJson,
  roundToSum,
  setProperties,
  showFailure,
  showModel,
  showNotice,
  writeAddress,
} from "../static/page.js";

/** Milliseconds after the last key; longer while a number may be half typed. */
const PAUSE = 250;
const PAUSE_HALF_TYPED = 900;

/** A required whole number with at most this many steps becomes a slider. */
const SLIDER_STEPS = 10;

/** The price scale starts with this end, so that answers can be compared. */
const SCALE_END = 400_000;
const SCALE_STEP = 100_000;

const form = byId("house");
const region = byId("region");

/** @type {Map<string, {field: object, control: HTMLInputElement | HTMLSelectElement}>} */
const inputs = new Map();
let knownVersion = null;
let retryTimer = 0;

// ---- Form ----

function buildForm(fields) {
  byId("required-fields").replaceChildren(...fields.filter((field) => field.required).map(buildField));
  const optional = Map.groupBy(
    fields.filter((field) => !field.required),
    (field) => field.group,
  );
  byId("optional-groups").replaceChildren(...[...optional].map(([group, members]) => buildGroup(group, members)));
  byId("optional-part").hidden = optional.size === 0;
}

function buildGroup(title, fields) {
  return element(
    "details",
    { class: "disclosure", "data-testid": `group-${title}` },
    element("summary", {}, title, element("span", { class: "soft", "data-count": true })),
    element("div", { class: "fields", role: "group", "aria-label": title }, ...fields.map(buildField)),
  );
}

function buildField(field) {
  const control = buildControl(field);
  inputs.set(field.name, { field, control });
  const isWide = field.choices?.length > 0 && field.required;
  return element(
    "div",
    { class: isWide ? "field field-wide" : "field" },
    element("label", { for: control.id }, field.label),
    element("div", { class: "field-control" }, control, ...controlExtras(field, control)),
    field.help ? element("span", { class: "field-help", id: `help-${field.name}` }, field.help) : null,
    element("span", {
      class: "field-error",
      id: `error-${field.name}`,
      "data-testid": `error-${field.name}`,
      hidden: true,
    }),
  );
}

function buildControl(field) {
  const attributes = {
    id: `field-${field.name}`,
    name: field.name,
    "data-testid": `field-${field.name}`,
    "aria-describedby": describedBy(field, false),
    "aria-required": field.required,
  };
  if (field.choices?.length) return buildSelect(field, attributes);
  return element("input", {
    ...attributes,
    type: isSlider(field) ? "range" : "number",
    class: isSlider(field) ? "slider" : "input",
    inputmode: field.kind === "integer" ? "numeric" : "decimal",
    min: field.minimum,
    max: field.maximum,
    step: field.kind === "integer" ? 1 : "any",
    value: defaultValue(field),
  });
}

function buildSelect(field, attributes) {
  const open = field.required ? [] : [element("option", { value: "" }, "Left open")];
  const choices = field.choices.map(({ code, label }) =>
    element("option", { value: code, selected: code === defaultValue(field) }, label),
  );
  return element("select", { ...attributes, class: "input" }, ...open, ...choices);
}

function controlExtras(field, control) {
  if (isSlider(field)) {
    const output = element("output", { for: control.id }, control.value);
    return field.unit ? [output, unitOf(field, control)] : [output];
  }
  return field.unit && !isYear(field) ? [unitOf(field, control)] : [];
}

function unitOf(field, control) {
  return element("label", { class: "field-unit", for: control.id }, field.unit);
}

function isSlider(field) {
  return field.required && field.kind === "integer" && field.maximum - field.minimum <= SLIDER_STEPS;
}

function isYear(field) {
  return field.unit === "year" || /(^|_)(year|yr)(_|$)/.test(field.name);
}

/** Required fields start with a typical house; the others start open. */
function defaultValue(field) {
  return field.required ? String(field.typical ?? "") : "";
}

function describedBy(field, hasError) {
  const ids = [field.help ? `help-${field.name}` : null, hasError ? `error-${field.name}` : null];
  return ids.filter(Boolean).join(" ") || null;
}

/** What depends on the values but needs no answer: slider numbers and counts. */
function refreshForm() {
  for (const { control } of inputs.values()) {
    const output = control.parentElement.querySelector("output");
    if (output) output.textContent = control.value;
  }
  for (const details of form.querySelectorAll("details")) {
    const stated = [...details.querySelectorAll("[name]")].filter((control) => control.value !== "");
    details.querySelector("[data-count]").textContent = stated.length ? `${stated.length} given` : "";
  }
}

/** A closed group that holds something the reader gave is opened. */
function openGroupOf(control) {
  const details = control.closest("details");
  if (details) details.open = true;
}

// ---- State ----

/**
 * The house as the service wants it: open fields are left out.
 *
 * @throws {ProblemError} a number field holds something that is no number
 */
function readHouse() {
  const house = {};
  const errors = [];
  for (const [name, { field, control }] of inputs) {
    if (control.validity.badInput) errors.push({ field: name, message: "Enter a number." });
    else if (control.value !== "") house[name] = field.choices.length ? control.value : Number(control.value);
  }
  if (errors.length) throw new ProblemError({ status: 422, title: "Not a number", errors });
  return house;
}

/** Fills the form from the address and says which names it could not use. */
function applyAddress() {
  const unused = [];
  for (const [name, value] of readAddress()) {
    const control = inputs.get(name)?.control;
    if (control) control.value = value;
    if (control?.value === value) openGroupOf(control);
    else unused.push(name);
  }
  const names = unused.join(", ");
  showNotice(names && `The link has values that this model does not know; they are ignored: ${names}.`);
}

/** The address names only what differs from the start, so that links stay short. */
function saveAddress() {
  const changed = new Map();
  for (const [name, { field, control }] of inputs) {
    if (control.value !== defaultValue(field)) changed.set(name, control.value);
  }
  writeAddress(changed);
}

// ---- Ask ----

const predict = latestOnly(async (signal) => {
  const house = readHouse();
  const answer = await requestJson("v1/predictions", { body: { houses: [house], explain: true }, signal });
  return { house, model: answer.model, ...answer.predictions[0] };
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

const updateSoon = debounce(update, () => (form.checkValidity() ? PAUSE : PAUSE_HALF_TYPED));

// ---- Answer ----

function showAnswer(answer) {
  region.dataset.state = "ready";
  clearFieldErrors();
  clearFailure();
  byId("stale").hidden = true;
  byId("answer-body").hidden = false;
  showPrice(answer);
  showScale(answer);
  showWarnings(answer.warnings);
  showContributions(answer);
  showComparables(answer.explanation.comparables);
  showFilled(answer.filled);
  announce(spokenAnswer(answer));
  if (answer.model.version !== knownVersion) loadModel();
}

function showPrice({ price, interval }) {
  byId("price").value = String(price);
  byId("price").textContent = format.dollars(price);
  byId("interval").replaceChildren(
    `${format.percent(interval.coverage)} interval: `,
    dataElement(interval.low, format.dollars(interval.low), { "data-testid": "interval-low" }),
    " to ",
    dataElement(interval.high, format.dollars(interval.high), { "data-testid": "interval-high" }),
  );
}

function spokenAnswer({ price, interval, warnings }) {
  const range = `${format.dollars(interval.low)} to ${format.dollars(interval.high)}`;
  const text = `Estimated price ${format.dollars(price)}, ${format.percent(interval.coverage)} interval ${range}.`;
  return [text, ...warnings].join(" ");
}

function showScale({ price, interval, explanation }) {
  const prices = explanation.comparables.map((house) => house.price);
  const end = scaleEnd(Math.max(interval.high, ...prices));
  const at = (dollars) => `${(100 * dollars) / end}%`;
  const scale = byId("scale");
  scale.hidden = false;
  scale.setAttribute("aria-label", scaleDescription(price, interval, end));
  setProperties(scale.querySelector(".scale-interval"), { "--from": at(interval.low), "--to": at(interval.high) });
  setProperties(scale.querySelector(".scale-price"), { "--at": at(price) });
  scale.querySelectorAll(".scale-comparable").forEach((mark) => mark.remove());
  const marks = prices.map((value) => setProperties(element("div", { class: "scale-comparable" }), { "--at": at(value) }));
  scale.querySelector(".scale-track").append(...marks);
  const ticks = Array.from({ length: 5 }, (_, index) => (index * end) / 4);
  byId("scale-ticks").replaceChildren(
    ...ticks.map((tick) => setProperties(element("span", {}, format.dollarsShort(tick)), { "--at": at(tick) })),
  );
}

/** The end is a multiple of four steps, so that the ticks are round. */
function scaleEnd(highest) {
  return Math.max(SCALE_END, Math.ceil(highest / (4 * SCALE_STEP)) * 4 * SCALE_STEP);
}

function scaleDescription(price, interval, end) {
  const range = `${format.dollars(interval.low)} to ${format.dollars(interval.high)}`;
  return `On a scale from $0 to ${format.dollars(end)}: price ${format.dollars(price)}, interval ${range}.`;
}

function showWarnings(warnings) {
  byId("warnings").hidden = warnings.length === 0;
  byId("warning-list").replaceChildren(...warnings.map((text) => element("li", {}, text)));
}

// ---- Contributions ----

function showContributions({ price, explanation, house }) {
  const steps = waterfallSteps(price, explanation);
  const at = waterfallScale(steps);
  byId("contribution-rows").replaceChildren(...steps.map((step) => waterfallRow(step, at, house)));
}

/**
 * The rows of the waterfall in whole dollars: the average, each contribution
 * from `start` to `end`, and the price, where the last contribution ends.
 */
function waterfallSteps(price, { average_price: average, contributions }) {
  const first = Math.round(average);
  const last = Math.round(price);
  const effects = roundToSum(
    contributions.map(({ dollars }) => dollars),
    last - first,
  );
  let end = first;
  const middle = contributions.map(({ group, fields }, index) => {
    const start = end;
    end += effects[index];
    return { label: group, fields, effect: effects[index], start, end };
  });
  return [
    { label: "Average house", start: first, end: first },
    ...middle,
    { label: "This house", start: last, end: last, isLast: true },
  ];
}

function waterfallScale(steps) {
  const ends = steps.map((step) => step.end);
  const low = Math.min(...ends);
  const span = Math.max(...ends) - low || 1;
  const position = (dollars) => `${3 + (94 * (dollars - low)) / span}%`;
  return { position, average: position(steps[0].end) };
}

function waterfallRow(step, at, house) {
  const hasEffect = step.effect !== undefined;
  const sign = !hasEffect ? "point" : step.effect < 0 ? "loss" : "gain";
  const effect = hasEffect ? dataElement(step.effect, format.dollarsSigned(step.effect), { "data-sign": sign }) : null;
  const running = dataElement(step.end, format.dollars(step.end));
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, step.label, hasEffect ? statedFields(step.fields, house) : null),
    element("td", { class: "waterfall-chart", "aria-hidden": "true" }, waterfallTrack(step, sign, at)),
    element("td", { class: "number" }, effect ?? dataElement(step.end, format.dollars(step.end), { class: "waterfall-total" })),
    element("td", { class: "number waterfall-running" }, running),
  );
}

function waterfallTrack(step, sign, at) {
  const bar = element("div", { class: "waterfall-bar", "data-sign": sign });
  const track = element("div", { class: "waterfall-track" }, bar);
  return setProperties(track, {
    "--average": at.average,
    "--from": at.position(Math.min(step.start, step.end)),
    "--to": at.position(Math.max(step.start, step.end)),
    "--end": at.position(step.end),
  });
}

/** Which of the reader's own answers stand behind a step. */
function statedFields(names, house) {
  const stated = names.filter((name) => name in house).map((name) => formatValue(name, house[name]));
  return element("span", { class: "waterfall-stated" }, stated.join(", ") || "filled in for you");
}

// ---- Comparables and what was filled in ----

function showComparables(houses) {
  byId("comparable-rows").replaceChildren(
    ...houses.map((house) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, dataElement(house.price, format.dollars(house.price))),
        element("td", {}, formatValue("neighborhood", house.neighborhood)),
        numberCell(house.year_built, String),
        numberCell(house.gr_liv_area, (area) => `${format.integer(area)} sq ft`),
        numberCell(house.lot_area, (area) => `${format.integer(area)} sq ft`),
        numberCell(house.overall_qual, format.integer),
        numberCell(house.yr_sold, String),
        numberCell(house.similarity, format.percent),
      ),
    ),
  );
}

function numberCell(value, formatter) {
  return element("td", { class: "number" }, formatter(value));
}

function showFilled(filled) {
  byId("filled-count").textContent = filled.length === 1 ? "1 detail" : `${filled.length} details`;
  byId("filled-rows").replaceChildren(
    ...filled.map(({ field, value, rule }) =>
      element(
        "tr",
        { "data-field": field },
        element("th", { scope: "row" }, inputs.get(field)?.field.label ?? field),
        element("td", {}, formatValue(field, value)),
        element("td", { class: "soft" }, rule),
      ),
    ),
  );
}

/** A value with its label or unit, as a person would write it. */
function formatValue(name, value) {
  if (value === null || value === "") return "none";
  const field = inputs.get(name)?.field;
  const choice = field?.choices?.find(({ code }) => String(code) === String(value));
  if (choice) return choice.label;
  if (typeof value !== "number") return String(value);
  if (!field || isYear(field)) return String(value);
  return field.unit ? `${format.decimal(value)} ${field.unit}` : `${field.label} ${format.decimal(value)}`;
}

// ---- Failures ----

function fail(error, again) {
  const failure = describeFailure(error);
  markStale();
  clearFieldErrors();
  const unplaced = error.status === 422 ? showFieldErrors(error.errors) : [];
  if (error.status === 422 && error.errors.length && !unplaced.length) clearFailure();
  else showFailureNotice(failure, unplaced, again);
}

function markStale() {
  const hasAnswer = byId("price").hasAttribute("value");
  region.dataset.state = hasAnswer ? "stale" : "empty";
  byId("stale").hidden = !hasAnswer;
  byId("stale").textContent = "Old: the answer to what you had entered before.";
}

function showFailureNotice({ title, text, retrySeconds }, unplaced, again) {
  const canRetry = retrySeconds !== null;
  showFailure(title, text, describeErrors(unplaced), canRetry && `Trying again every ${retrySeconds} seconds.`);
  byId("retry").hidden = !canRetry;
  byId("retry").onclick = again;
  clearTimeout(retryTimer);
  if (canRetry) retryTimer = setTimeout(again, 1000 * retrySeconds);
}

function clearFailure() {
  if (document.activeElement === byId("retry")) byId("results").focus();
  hideFailure();
}

/** Shows each error at its field; returns those that name no field of the form. */
function showFieldErrors(errors) {
  const placed = errors.filter((error) => inputs.has(fieldName(error)));
  for (const error of placed) showFieldError(inputs.get(fieldName(error)), error.message);
  if (placed.length) showWhereToLook(placed.map((error) => inputs.get(fieldName(error))));
  return errors.filter((error) => !placed.includes(error));
}

/** `houses.0.year_built` names the field `year_built`. */
function fieldName({ field }) {
  return field.split(".").at(-1);
}

function showFieldError({ field, control }, message) {
  const text = byId(`error-${field.name}`);
  text.textContent = message.charAt(0).toUpperCase() + message.slice(1);
  text.hidden = false;
  control.setAttribute("aria-invalid", "true");
  control.setAttribute("aria-describedby", describedBy(field, true));
  openGroupOf(control);
}

function showWhereToLook(refused) {
  const [{ field, control }] = refused;
  const button = element("button", { type: "button", class: "button-plain" }, field.label);
  button.addEventListener("click", () => control.focus());
  byId("stale").replaceChildren("Not updated. Please correct: ", button, refused.length > 1 ? ` and ${refused.length - 1} more` : "");
  byId("stale").hidden = false;
  announce(`Not updated. ${refused.map((input) => `${input.field.label}: ${byId(`error-${input.field.name}`).textContent}`).join(" ")}`);
}

function clearFieldErrors() {
  for (const { field, control } of inputs.values()) {
    control.removeAttribute("aria-invalid");
    const ids = describedBy(field, false);
    if (ids) control.setAttribute("aria-describedby", ids);
    else control.removeAttribute("aria-describedby");
    byId(`error-${field.name}`).hidden = true;
  }
}

// ---- Which model ----

async function loadModel() {
  try {
    const model = await requestJson("v1/model");
    knownVersion = model.version;
    showModel(model, errorEntry(model));
  } catch (error) {
    // The next answer names its model, and asks again.
    knownVersion = null;
    byId("model-badge").replaceChildren(element("div", {}, `No word about the model: ${error.message}`));
  }
}

function errorEntry({ metrics }) {
  const { estimate, low, high } = metrics.root_mean_squared_log_error;
  const range = low === null ? "" : `95 % interval ${format.metric(low)} to ${format.metric(high)}; `;
  return {
    label: "Error on houses it never saw",
    value: `${format.metric(estimate)} in log price`,
    note: `${range}root mean squared`,
  };
}

// ---- Start ----

async function start() {
  clearTimeout(retryTimer);
  try {
    const { fields } = await requestJson("v1/fields");
    buildForm(fields);
  } catch (error) {
    fail(error, start);
    return;
  }
  applyAddress();
  refreshForm();
  await loadModel();
  await update();
}

function restart() {
  showNotice("");
  refreshForm();
  update();
}

form.addEventListener("input", () => {
  refreshForm();
  updateSoon();
});
form.addEventListener("submit", (event) => event.preventDefault());
// The controls have their first values again only after the event.
form.addEventListener("reset", () => setTimeout(restart));
enableCopyLink(saveAddress);
start();
