/**
 * The form of a house: built from the fields of the service, kept in the address, and the place of the errors that the
 * service finds. The service decides what is valid.
 */

import {
  ProblemError,
  announce,
  byId,
  element,
  format,
  readAddress,
  showNotice,
  writeAddress,
} from "../static/page.js";

/** A required whole number with at most this many steps becomes a slider. */
const SLIDER_STEPS = 10;

export const form = byId("house");

/** @type {Map<string, {field: object, control: HTMLInputElement | HTMLSelectElement}>} */
export const inputs = new Map();

// ---- Form ----

export function buildForm(fields) {
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
export function refreshForm() {
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
export function readHouse() {
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
export function applyAddress() {
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
export function saveAddress() {
  const changed = new Map();
  for (const [name, { field, control }] of inputs) {
    if (control.value !== defaultValue(field)) changed.set(name, control.value);
  }
  writeAddress(changed);
}

// ---- What a value is called ----

/** A value with its label or unit, as a person would write it. */
export function formatValue(name, value) {
  if (value === null || value === "") return "none";
  const field = inputs.get(name)?.field;
  const choice = field?.choices?.find(({ code }) => String(code) === String(value));
  if (choice) return choice.label;
  if (typeof value !== "number") return String(value);
  if (!field || isYear(field)) return String(value);
  return field.unit ? `${format.decimal(value)} ${field.unit}` : `${field.label} ${format.decimal(value)}`;
}

// ---- Errors at their fields ----

/** Shows each error at its field; returns those that name no field of the form. */
export function showFieldErrors(errors) {
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

export function clearFieldErrors() {
  for (const { field, control } of inputs.values()) {
    control.removeAttribute("aria-invalid");
    const ids = describedBy(field, false);
    if (ids) control.setAttribute("aria-describedby", ids);
    else control.removeAttribute("aria-describedby");
    byId(`error-${field.name}`).hidden = true;
  }
}
