/** What the page shows of an answer: the price on its scale, what adds up to it, similar sales, and what was filled in. */

import { byId, element, format, numberFormat, setProperties } from "../static/page.js";
import { formatValue, inputs } from "./form.js";

/** The price scale starts with this end, so that answers can be compared. */
const SCALE_END = 400_000;
const SCALE_STEP = 100_000;

const currency = { style: "currency", currency: "USD", maximumFractionDigits: 0 };
export const inDollars = numberFormat(currency);
const inShortDollars = numberFormat({ ...currency, notation: "compact" });
const inSignedDollars = numberFormat({ ...currency, signDisplay: "exceptZero" });

// ---- Price ----

export function showPrice({ price, interval }) {
  byId("price").value = String(price);
  byId("price").textContent = inDollars(price);
  byId("interval").replaceChildren(
    `${format.percent(interval.coverage)} interval: `,
    dataElement(interval.low, inDollars(interval.low), { "data-testid": "interval-low" }),
    " to ",
    dataElement(interval.high, inDollars(interval.high), { "data-testid": "interval-high" }),
  );
}

export function spokenAnswer({ price, interval, warnings }) {
  const range = `${inDollars(interval.low)} to ${inDollars(interval.high)}`;
  const text = `Estimated price ${inDollars(price)}, ${format.percent(interval.coverage)} interval ${range}.`;
  return [text, ...warnings].join(" ");
}

export function showScale({ price, interval, explanation }) {
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
    ...ticks.map((tick) => setProperties(element("span", {}, inShortDollars(tick)), { "--at": at(tick) })),
  );
}

/** The end is a multiple of four steps, so that the ticks are round. */
function scaleEnd(highest) {
  return Math.max(SCALE_END, Math.ceil(highest / (4 * SCALE_STEP)) * 4 * SCALE_STEP);
}

function scaleDescription(price, interval, end) {
  const range = `${inDollars(interval.low)} to ${inDollars(interval.high)}`;
  return `On a scale from $0 to ${inDollars(end)}: price ${inDollars(price)}, interval ${range}.`;
}

export function showWarnings(warnings) {
  byId("warnings").hidden = warnings.length === 0;
  byId("warning-list").replaceChildren(...warnings.map((text) => element("li", {}, text)));
}

// ---- Contributions ----

export function showContributions({ price, explanation, house }) {
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

/**
 * Rounds numbers to integers whose sum is exactly the rounded `total`: what is
 * left over goes to those that rounding moved the most (largest remainders).
 *
 * @param {number[]} values
 * @param {number} total the whole number that the result must sum to
 * @returns {number[]}
 */
function roundToSum(values, total) {
  const rounded = values.map(Math.floor);
  const missing = total - rounded.reduce((sum, value) => sum + value, 0);
  const order = values.map((_, index) => index);
  order.sort((a, b) => values[b] - rounded[b] - (values[a] - rounded[a]));
  order.slice(0, Math.max(0, missing)).forEach((index) => {
    rounded[index] += 1;
  });
  return rounded;
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
  const effect = hasEffect ? dataElement(step.effect, inSignedDollars(step.effect), { "data-sign": sign }) : null;
  const running = dataElement(step.end, inDollars(step.end));
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, step.label, hasEffect ? statedFields(step.fields, house) : null),
    element("td", { class: "waterfall-chart", "aria-hidden": "true" }, waterfallTrack(step, sign, at)),
    element("td", { class: "number" }, effect ?? dataElement(step.end, inDollars(step.end), { class: "waterfall-total" })),
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

export function showComparables(houses) {
  byId("comparable-rows").replaceChildren(
    ...houses.map((house) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, dataElement(house.price, inDollars(house.price))),
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

/** List values that are not the person's own: those that were filled in, or put right. */
export function showChanged(id, changed) {
  byId(id).hidden = id === "repaired" && changed.length === 0;
  byId(`${id}-count`).textContent = changed.length === 1 ? "1 detail" : `${changed.length} details`;
  byId(`${id}-rows`).replaceChildren(
    ...changed.map(({ field, value, rule }) =>
      element(
        "tr",
        { "data-field": field },
        element("th", { scope: "row" }, inputs.get(field)?.field.label ?? field),
        element("td", {}, value === null ? "unknown" : formatValue(field, value)),
        element("td", { class: "soft" }, rule),
      ),
    ),
  );
}

/** A `<data>` element: the number as it came for machines, as text for people. */
function dataElement(value, text, attributes = {}) {
  return element("data", { value, ...attributes }, text);
}
