/**
 * The films page: a history of films, what to watch next, and why. The history stands in the address, so a link
 * shares it.
 */

import {
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
  readAddress,
  requestJson,
  setProperties,
  showFailure,
  showModel,
  showNotice,
  writeAddress,
} from "../static/page.js";

const PAUSE = 200;
const STARS = [5, 4.5, 4, 3.5, 3, 2.5, 2, 1.5, 1, 0.5];
const NEXT_STATE = { "": "wanted", wanted: "excluded", excluded: "" };

const region = byId("region");
const search = byId("search");
const options = byId("options");
const send = feedbackSender();

/** @type {{film: object, rating: number | null}[]} the oldest first */
let picks = [];
let matches = [];
let active = -1;
let started = false;
let maxHistory = Infinity; // the service says it
let keepsFeedback = false; // and this

// ---- Search: a combobox after the ARIA authoring practices ----

const findFilms = latestOnly((signal, query) =>
  requestJson(`v1/films?limit=8&query=${encodeURIComponent(query)}`, { signal }),
);

const lookUp = debounce(async () => {
  const query = search.value.trim();
  if (!query) return closeOptions();
  try {
    const answer = await findFilms(query);
    if (answer && search.value.trim() === query) showOptions(answer.films);
  } catch (error) {
    fail(error);
  }
}, PAUSE);

function showOptions(films) {
  matches = films;
  active = films.length ? 0 : -1;
  const rows = films.map((film, index) => {
    const row = element("li", { id: `option-${index}`, role: "option", "data-testid": "option" }, ...titleOf(film));
    row.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // the search keeps the focus
      pick(film);
    });
    return row;
  });
  options.replaceChildren(...(rows.length ? rows : [element("li", { class: "soft", "aria-disabled": "true" }, "No film found")]));
  options.hidden = false;
  search.setAttribute("aria-expanded", "true");
  markActive();
}

function closeOptions() {
  matches = [];
  active = -1;
  options.hidden = true;
  search.setAttribute("aria-expanded", "false");
  search.removeAttribute("aria-activedescendant");
}

function markActive() {
  options.querySelectorAll('[role="option"]').forEach((row, index) => {
    row.setAttribute("aria-selected", String(index === active));
    if (index === active) row.scrollIntoView({ block: "nearest" });
  });
  if (active >= 0) search.setAttribute("aria-activedescendant", `option-${active}`);
  else search.removeAttribute("aria-activedescendant");
}

function onSearchKey(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && matches.length) {
    active = (active + step + matches.length) % matches.length;
    markActive();
  } else if (event.key === "Enter" && matches[active]) {
    pick(matches[active]);
  } else if (event.key === "Escape") {
    closeOptions();
  } else {
    return;
  }
  event.preventDefault();
}

// ---- The history ----

function pick(film) {
  search.value = "";
  closeOptions();
  if (picks.some((entry) => entry.film.film_id === film.film_id)) return;
  if (picks.length >= maxHistory) return showNotice(`A history holds at most ${maxHistory} films: remove one first.`);
  picks.push({ film, rating: null });
  changed();
}

function changed() {
  byId("picks").replaceChildren(...picks.map(pickRow));
  byId("no-picks").hidden = picks.length > 0;
  writeAddress(stateOf());
  recommend();
}

function pickRow(entry) {
  const { film } = entry;
  const rating = element("select", { class: "input", "aria-label": `Your stars for ${film.title}`, "data-testid": "rating" });
  rating.append(element("option", { value: "" }, "No stars"), ...STARS.map((stars) => element("option", { value: stars }, `${stars} stars`)));
  rating.value = entry.rating ?? "";
  rating.addEventListener("change", () => {
    entry.rating = rating.value ? Number(rating.value) : null;
    writeAddress(stateOf()); // the rows stay as they are, and so does the focus
    recommend();
  });
  const remove = element("button", { type: "button", class: "button-plain", "aria-label": `Remove ${film.title}` }, "Remove");
  remove.addEventListener("click", () => {
    picks = picks.filter((other) => other !== entry);
    showNotice("");
    changed();
    search.focus();
  });
  return element("li", { "data-testid": "pick" }, element("span", {}, ...titleOf(film)), rating, remove);
}

// ---- Options and the address ----

function genresIn(state) {
  return [...byId("genres").querySelectorAll(`[data-state="${state}"]`)].map((button) => button.value);
}

function number(id) {
  const text = byId(id).value;
  return text === "" ? null : Number(text);
}

/** What the address holds: everything that differs from an untouched page. */
function stateOf() {
  const values = new Map();
  const films = picks.map(({ film, rating }) => (rating === null ? `${film.film_id}` : `${film.film_id}*${rating}`));
  const entries = {
    films: films.join("-"),
    genres: genresIn("wanted").join("~"),
    without: genresIn("excluded").join("~"),
    from: byId("year-from").value,
    to: byId("year-to").value,
    k: byId("k").value === "10" ? "" : byId("k").value,
    variety: byId("diversity").value === "0" ? "" : byId("diversity").value,
  };
  for (const [name, value] of Object.entries(entries)) if (value) values.set(name, value);
  return values;
}

async function restore() {
  const values = readAddress();
  byId("k").value = values.get("k") ?? "10";
  byId("diversity").value = values.get("variety") ?? "0";
  byId("year-from").value = values.get("from") ?? "";
  byId("year-to").value = values.get("to") ?? "";
  for (const [name, state] of [["genres", "wanted"], ["without", "excluded"]]) {
    const chosen = new Set((values.get(name) ?? "").split("~"));
    byId("genres").querySelectorAll("button").forEach((button) => chosen.has(button.value) && setGenre(button, state));
  }
  const parts = (values.get("films") ?? "").split("-").map((part) => part.split("*"));
  const stated = [...new Map(parts.filter(([id]) => /^[1-9]\d{0,9}$/.test(id)))]; // a film stands once
  if (!stated.length) return;
  const wanted = stated.slice(-maxHistory);
  const { films } = await requestJson(`v1/films?ids=${wanted.map(([id]) => id).join(",")}`);
  const known = new Map(films.map((film) => [film.film_id, film]));
  picks = wanted
    .filter(([id]) => known.has(Number(id)))
    .map(([id, rating]) => ({ film: known.get(Number(id)), rating: STARS.includes(Number(rating)) ? Number(rating) : null }));
  const missing = wanted.length - picks.length;
  const notes = [
    missing ? `${missing} of the link's films are unknown to this model and were left out.` : "",
    stated.length > wanted.length ? `Of the link's films only the last ${maxHistory} were taken.` : "",
  ];
  showNotice(notes.filter(Boolean).join(" "));
}

function setGenre(button, state) {
  button.dataset.state = state;
  const words = { wanted: "wanted", excluded: "left out", "": "any" };
  button.setAttribute("aria-label", `${button.value}: ${words[state]}`);
}

function buildOptions(catalogue) {
  const buttons = catalogue.genres.map((genre) => {
    const button = element("button", { type: "button", class: "chip", value: genre }, genre);
    setGenre(button, "");
    button.addEventListener("click", () => {
      setGenre(button, NEXT_STATE[button.dataset.state]);
      changed();
    });
    return button;
  });
  byId("genres").replaceChildren(...buttons);
  for (const id of ["year-from", "year-to"]) {
    byId(id).min = catalogue.year_min;
    byId(id).max = catalogue.year_max;
  }
  maxHistory = catalogue.limits.max_history;
  byId("k").max = Math.min(byId("k").max, catalogue.limits.max_k);
  search.maxLength = catalogue.limits.max_query;
  byId("year-from").placeholder = catalogue.year_min;
  byId("year-to").placeholder = catalogue.year_max;
}

// ---- Recommendations ----

const ask = latestOnly((signal, body) => requestJson("v1/recommendations", { body, signal }));

const recommend = debounce(async () => {
  region.dataset.state = "loading";
  byId("diversity-value").textContent = byId("diversity").value;
  try {
    const answer = await ask({
      history: picks.map(({ film, rating }) => ({ film_id: film.film_id, rating })),
      k: number("k") ?? 10,
      diversity: number("diversity"),
      genres: genresIn("wanted"),
      exclude_genres: genresIn("excluded"),
      year_from: number("year-from"),
      year_to: number("year-to"),
    });
    if (answer) showAnswer(answer);
  } catch (error) {
    fail(error);
  }
}, PAUSE);

function showAnswer(answer) {
  hideFailure();
  byId("results-title").textContent = answer.popular ? "Popular films" : "Films for you";
  const people = answer.popular ? "people" : "people with such a history";
  const feedback = keepsFeedback ? feedbackOn(answer) : null;
  const rows = answer.recommendations.map((recommended, index) => filmRow(recommended, index, people, feedback));
  const none = element("li", { class: "soft" }, "No film fits: widen the genres or the years.");
  byId("films").replaceChildren(...(rows.length ? rows : [none]));
  byId("chance-help").hidden = !answer.recommendations.some(({ chance }) => chance !== null);
  byId("kept-help").hidden = !keepsFeedback;
  byId("chance-none").hidden = !answer.recommendations.some(({ chance }) => chance === null);
  region.dataset.state = "ready";
  announce(`${answer.recommendations.length} films. First: ${answer.recommendations[0]?.film.title ?? "none"}`);
}

function filmRow({ film, reasons, chance }, index, people, feedback) {
  const add = element("button", { type: "button", class: "button-plain", "aria-label": `I have seen ${film.title}` }, "Seen it");
  add.addEventListener("click", () => pick(film));
  const similar = similarTo(film);
  const opinion = feedback ? opinionOf(film, feedback) : [];
  return element(
    "li",
    { "data-testid": "recommendation", "data-film": film.film_id },
    element("span", { class: "rank", "aria-hidden": "true" }, String(index + 1)),
    element("h3", {}, ...titleOf(film)),
    add,
    element("p", { class: "about" }, film.genres.join(", ")),
    chance === null ? null : element("p", { class: "about", "data-testid": "chance" }, `${shareOf(chance)} ${people} watched it next`),
    reasons.length ? element("dl", { class: "reasons", "data-testid": "reasons" }, ...reasons.flatMap(reasonCells)) : null,
    element("div", { class: "row-foot" }, similar.more, ...opinion),
    similar.list,
  );
}

/** A chance as people say it: "About 1 in 8"; no more digits than it is worth. */
function shareOf(chance) {
  if (chance >= 0.35) return `About ${Math.min(9, Math.round(chance * 10))} in 10`;
  const one = 1 / chance;
  if (one > 95) return "Fewer than 1 in 100";
  const step = one < 10 ? 1 : one < 30 ? 5 : 10;
  return `About 1 in ${Math.round(one / step) * step}`;
}

function reasonCells({ film, share }) {
  const bar = setProperties(element("div", { class: "share", "aria-hidden": "true" }), { "--share": format.percent(share) });
  return [
    element("dt", {}, `because of ${film.title}`),
    element("dd", {}, bar),
    element("dd", { class: "percent" }, format.percent(share)),
  ];
}

function similarTo(film) {
  const list = element("p", { class: "about", hidden: true });
  const more = element("button", { type: "button", class: "button-plain", "aria-expanded": "false" }, "More like this");
  more.addEventListener("click", async () => {
    try {
      const { similar } = await requestJson(`v1/films/${film.film_id}/similar?k=5`);
      list.textContent = similar.map((entry) => entry.film.title).join(" · ") || "Nothing is known to be like it.";
      list.hidden = false;
      more.setAttribute("aria-expanded", "true");
    } catch (error) {
      fail(error);
    }
  });
  return { more, list };
}

// ---- Feedback ----

/** What is said of the films of one answer: each click sends the whole of it. */
function feedbackOn({ id }) {
  let said = new Map();
  return {
    of: (film) => said.get(film.film_id) ?? null,
    /** Returns why this was not kept; what is said is from then on what the service keeps. */
    async say(film, liked) {
      if (liked === null) said.delete(film.film_id);
      else said.set(film.film_id, liked);
      const { kept, failure } = await send(id, 0, { watched: [...said].map(([film_id, liked]) => ({ film_id, liked })) });
      said = new Map(kept?.watched.map((film) => [film.film_id, film.liked]));
      return this.of(film) === liked ? "" : failure;
    },
  };
}

function opinionOf(film, feedback) {
  const state = element("span", { class: "opinion-state", "data-testid": "opinion-state" }, "Watched it?");
  const reason = element("p", { class: "field-error", role: "alert", hidden: true });
  const buttons = [
    ["Liked it", true],
    ["Not for me", false],
  ].map(([text, liked]) => {
    const button = element("button", { type: "button", class: "chip", "aria-label": `${text}: ${film.title}` }, text);
    button.addEventListener("click", () => say(feedback.of(film) === liked ? null : liked));
    return { button, liked };
  });
  const paint = () => buttons.forEach(({ button, liked }) => button.setAttribute("aria-pressed", String(feedback.of(film) === liked)));
  async function say(liked) {
    reason.hidden = true;
    const saying = feedback.say(film, liked);
    paint();
    reason.textContent = await saying;
    reason.hidden = !reason.textContent;
    paint();
    state.textContent = feedback.of(film) === null ? "Watched it?" : "Kept";
    if (reason.hidden) announce(`${liked === null ? "Taken back" : "Kept"}: ${film.title}`);
  }
  paint();
  const controls = buttons.map(({ button }) => button);
  return [element("div", { class: "opinion", role: "group", "aria-label": `Watched ${film.title}?` }, state, ...controls), reason];
}

function titleOf(film) {
  return [film.title, film.year === null ? null : element("span", { class: "year" }, ` ${film.year}`)];
}

function fail(error) {
  const { title, text } = describeFailure(error);
  showFailure(title, text, describeErrors(error.errors));
  region.dataset.state = byId("films").children.length ? "stale" : "failed";
}

// ---- Start ----

async function start() {
  try {
    const [catalogue, model] = await Promise.all([requestJson("v1/catalogue"), requestJson("v1/model")]);
    buildOptions(catalogue);
    keepsFeedback = model.feedback;
    await restore();
    const score = model.metrics.ndcg_at_10;
    const figure = score && { label: "Test nDCG@10", value: format.metric(score.estimate), note: describeInterval(score) };
    showModel(model, ...(figure ? [figure] : []));
    started = true;
    changed();
  } catch (error) {
    fail(error);
  }
}

search.addEventListener("input", lookUp);
search.addEventListener("keydown", onSearchKey);
search.addEventListener("blur", closeOptions);
byId("viewer").addEventListener("submit", (event) => event.preventDefault());
byId("viewer").addEventListener("change", (event) => event.target.name && changed());
byId("diversity").addEventListener("input", () => {
  byId("diversity-value").textContent = byId("diversity").value;
});
byId("clear").addEventListener("click", () => {
  picks = [];
  showNotice("");
  changed();
});
byId("retry").addEventListener("click", () => (started ? recommend() : start()));
enableCopyLink();
start();
