/** The films page without a service: the same factors, and the same arithmetic on them. */

import { Refusal, answerHere, loadArrays, loadJson, showLoading } from "./local_service.js";
import { prepare, recommend, shown, similarTo } from "./scoring.js";
import { makeSearch } from "./search.js";

const model = loadModel();
showLoading(model);

async function loadModel() {
  const [rules, arrays, films] = await Promise.all([loadJson("model/rules.json"), loadArrays("model"), loadJson("model/films.json")]);
  return { ...prepare(films, arrays, rules), search: makeSearch(films) };
}

async function findFilms({ query }) {
  const { films, position, search } = await model;
  if (query.has("query")) return { films: search(query.get("query"), Number(query.get("limit") ?? 8)).map(shown), unknown: [] };
  const ids = query.get("ids").split(",").map(Number);
  const known = ids.filter((id) => position.has(id));
  return { films: known.map((id) => shown(films[position.get(id)])), unknown: ids.filter((id) => !position.has(id)) };
}

async function findSimilar({ query, match: [, id] }) {
  const loaded = await model;
  const item = loaded.position.get(Number(id));
  if (item === undefined) throw new Refusal(404, `No film has the id ${id}.`);
  return { film: shown(loaded.films[item]), similar: similarTo(loaded, item, Number(query.get("k") ?? 10)) };
}

async function recommendFilms({ body }) {
  const { k, year_from: from, year_to: to } = body;
  if (!Number.isInteger(k) || k < 1) throw new Refusal(422, "How many films: expected a whole number, at least 1.");
  if (from !== null && to !== null && from > to) throw new Refusal(422, `From year: expected at most ${to}.`);
  return recommend(await model, body);
}

answerHere([
  ["POST", /^v1\/recommendations$/, recommendFilms],
  ["GET", /^v1\/films$/, findFilms],
  ["GET", /^v1\/films\/(\d+)\/similar$/, findSimilar],
]);
