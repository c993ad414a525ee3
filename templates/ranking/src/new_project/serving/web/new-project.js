/** The page: what somebody liked, what to choose next, and why. */

import {
  announce,
  byId,
  debounce,
  describeErrors,
  describeFailure,
  describeInterval,
  element,
  format,
  hideFailure,
  latestOnly,
  requestJson,
  setProperties,
  showFailure,
  showModel,
} from "../static/page.js";

const PAUSE = 200;
const region = byId("results");
const picks = new Map(); // item_id -> item
let started = false;

const find = latestOnly((signal, query) => requestJson(`v1/items?limit=8&query=${encodeURIComponent(query)}`, { signal }));
const ask = latestOnly((signal, history) => requestJson("v1/recommendations", { body: { history, k: 10 }, signal }));

const lookUp = debounce(search, PAUSE);

async function search() {
  try {
    const answer = await find(byId("search").value.trim());
    if (answer) byId("found").replaceChildren(...answer.items.filter((item) => !picks.has(item.item_id)).map(foundRow));
  } catch (error) {
    fail(error);
  }
}

function foundRow(item) {
  return row(item, "Add", () => {
    picks.set(item.item_id, item);
    changed();
  });
}

function pickRow(item) {
  return row(item, "Remove", () => {
    picks.delete(item.item_id);
    changed();
  });
}

function row(item, word, action) {
  const button = element("button", { type: "button", class: "button-plain", "aria-label": `${word} ${item.title}` }, word);
  button.addEventListener("click", action);
  return element("li", { "data-testid": "item" }, element("span", {}, item.title), button);
}

function changed() {
  byId("picks").replaceChildren(...[...picks.values()].map(pickRow));
  byId("no-picks").hidden = picks.size > 0;
  return Promise.all([search(), recommend()]);
}

async function recommend() {
  region.dataset.state = "loading";
  try {
    const answer = await ask([...picks.keys()]);
    if (!answer) return;
    hideFailure();
    byId("answers").replaceChildren(...answer.recommendations.map(answerRow));
    region.dataset.state = "ready";
    announce(`${answer.recommendations.length} items. First: ${answer.recommendations[0]?.item.title ?? "none"}`);
  } catch (error) {
    fail(error);
  }
}

function answerRow({ item, score, reasons, others }) {
  const add = element("button", { type: "button", class: "button-plain", "aria-label": `I liked ${item.title}` }, "Liked it");
  add.addEventListener("click", () => {
    picks.set(item.item_id, item);
    changed();
  });
  const parts = reasons.map(({ item: reason, adds }) => [`because of ${reason.title}`, adds]);
  if (parts.length && Math.abs(others) > score / 1000) parts.push(["all others together", others]);
  const cells = parts.flatMap(([text, adds]) => [
    element("dt", {}, text),
    element("dd", {}, setProperties(element("div", { class: "share" }), { "--share": format.percent(Math.max(0, Math.min(1, adds / score))) })),
    element("dd", {}, format.metric(adds)),
  ]);
  const title = element("h3", {}, item.title);
  return element("li", { "data-testid": "recommendation" }, title, add, cells.length ? element("dl", { class: "reasons" }, ...cells) : null);
}

function fail(error) {
  const { title, text } = describeFailure(error);
  showFailure(title, text, describeErrors(error.errors));
  region.dataset.state = byId("answers").children.length ? "stale" : "failed";
}

async function start() {
  try {
    const model = await requestJson("v1/model");
    const { ndcg } = model.metrics;
    showModel(model, { label: "Test nDCG@10", value: format.metric(ndcg.estimate), note: describeInterval(ndcg) });
    started = true;
    await changed();
  } catch (error) {
    fail(error);
  }
}

byId("search").addEventListener("input", lookUp);
byId("chooser").addEventListener("submit", (event) => event.preventDefault());
byId("retry").addEventListener("click", () => (started ? changed() : start()));
start();
