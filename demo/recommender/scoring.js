/** From a history to films, with reasons and chances, as `models/predictor.py` of the project computes them. */

/** What the answers of one model have in common. */
export function prepare(films, { factors, recommendable }, rules) {
  const [n, rank] = factors.shape;
  const rows = Array.from({ length: n }, (_, i) => factors.values.subarray(i * rank, (i + 1) * rank));
  const isLive = Array.from(recommendable.values, Boolean);
  const own = rows.map((row) => dot(row, row));
  const live = [...rows.keys()].filter((i) => isLive[i]);
  return {
    films,
    rules,
    rows,
    isLive,
    own,
    live,
    scale: own.map((length, i) => (isLive[i] ? 1 / (1 - length) : 0)),
    position: new Map(films.map((film, i) => [film.id, i])),
    mostRatings: Math.max(...live.map((i) => films[i].n_ratings)),
  };
}

/** The answer of the service to one history, without its name and its model. */
export function recommend(model, { history, k = 10, diversity = 0, ...filters }) {
  const { items, weights, unknown } = readHistory(model, history);
  const popular = items.reduce((sum, item, i) => sum + weights[i] * model.own[item], 0) <= 0;
  const heard = items.some((item) => model.isLive[item]) ? weights.map((weight, i) => weight * model.isLive[items[i]]) : weights;
  const taste = new Float64Array(model.rows[0].length);
  items.forEach((item, i) => model.rows[item].forEach((value, j) => (taste[j] += heard[i] * value)));
  const scoreOf = (film) => (popular ? model.films[film].n_ratings : dot(model.rows[film], taste) * model.scale[film]);
  const seen = new Set(items);
  const ranked = model.live.filter((film) => !seen.has(film)).map((film) => ({ film, score: scoreOf(film) }));
  ranked.sort((a, b) => b.score - a.score); // stable: equal scores in order of position
  const floor = ranked[Math.min(model.rules.listed, ranked.length) - 1]?.score ?? Infinity;
  const admitted = ranked.filter(({ film }) => isAdmitted(model.films[film], filters));
  const chosen = diversity > 0 ? diversify(model, admitted, k, diversity) : admitted.slice(0, k);
  const recommendations = chosen.map(({ film, score }) => ({
    film: shown(model.films[film]),
    score,
    reasons: popular ? [] : reasonsOf(model, film, score, items, heard),
    chance: score >= floor ? chanceOf(model, score, popular, weights) : null,
  }));
  return { popular, unknown, recommendations, interleaved_with: null };
}

export function shown({ id, name, year, genres }) {
  return { film_id: id, title: name, year, genres };
}

/** The films most like one film: the highest cosines. */
export function similarTo(model, item, k) {
  const cosineTo = (film) => dot(model.rows[film], model.rows[item]) / Math.sqrt(model.own[film] * model.own[item]) || 0;
  const others = model.live.filter((film) => film !== item).map((film) => ({ film, similarity: cosineTo(film) }));
  others.sort((a, b) => b.similarity - a.similarity);
  return others.slice(0, k).map(({ film, similarity }) => ({ film: shown(model.films[film]), similarity }));
}

/** Of a film that stands there twice, the last one counts; later films weigh more. */
function readHistory({ position, rules: { weights: rule } }, history) {
  const stars = new Map();
  for (const { film_id: id, rating } of history) {
    stars.delete(id);
    stars.set(id, rating ?? rule.rating_middle);
  }
  const known = [...stars].filter(([id]) => position.has(id));
  const halfLife = Math.max(rule.half_life_share * known.length, rule.half_life_films);
  const weights = known.map(([, rating], i) => {
    const recency = rule.half_life_share > 0 ? 0.5 ** ((known.length - 1 - i) / halfLife) : 1;
    return recency * (1 + rule.rating_slope * (rating - rule.rating_middle));
  });
  const unknown = [...stars.keys()].filter((id) => !position.has(id));
  return { items: known.map(([id]) => position.get(id)), weights, unknown };
}

function isAdmitted({ year, genres }, filters) {
  const { genres: wanted = [], exclude_genres: excluded = [], year_from: from = null, year_to: to = null } = filters;
  if (wanted.length && !wanted.some((genre) => genres.includes(genre))) return false;
  if (excluded.some((genre) => genres.includes(genre))) return false;
  return (from === null || (year ?? 0) >= from) && (to === null || (year !== null && year <= to));
}

/** Films that are good and unlike those chosen before (`models/top_k.py`). */
function diversify({ rows, own, rules }, ranked, k, diversity) {
  const candidates = ranked.slice(0, Math.max(k, rules.candidates));
  if (!candidates.length) return [];
  const least = candidates.at(-1).score;
  const spread = candidates[0].score - least;
  const relevance = candidates.map(({ score }) => (spread > 0 ? (score - least) / spread : 1));
  const nearest = candidates.map(() => 0);
  const free = new Set(candidates.keys());
  const chosen = [];
  while (chosen.length < k && free.size) {
    const value = (i) => (1 - diversity) * relevance[i] - diversity * nearest[i];
    const best = [...free].reduce((first, i) => (value(i) > value(first) ? i : first));
    free.delete(best);
    chosen.push(candidates[best]);
    const { film } = candidates[best];
    candidates.forEach((other, i) => {
      const cosine = dot(rows[film], rows[other.film]) / Math.sqrt(own[film] * own[other.film]) || 0;
      nearest[i] = Math.max(nearest[i], cosine);
    });
  }
  return chosen;
}

/** The films of the history that add most to a score; never one that takes something away. */
function reasonsOf({ films, rows, scale, rules }, film, score, items, heard) {
  const added = items.map((item, i) => ({ item, share: item === film ? 0 : heard[i] * dot(rows[film], rows[item]) * scale[film] }));
  added.sort((a, b) => b.share - a.share);
  const named = added.slice(0, rules.n_reasons).filter(({ share }) => share > 0);
  const whole = Math.max(score, named.reduce((sum, { share }) => sum + share, 0));
  return named.map(({ item, share }) => ({ film: shown(films[item]), share: share / whole }));
}

/** That somebody with such a history watches the film among their next ten (`models/chance.py`). */
function chanceOf({ rules: { chance, n_next, least_score }, mostRatings }, score, popular, weights) {
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const known = [weights.length, sum, n_next].map(Math.log);
  const features = popular
    ? [1, Math.log(Math.max(score, 1) / mostRatings), Math.log(n_next)]
    : [1, Math.log(Math.max(score, least_score)), ...known];
  return 1 / (1 + Math.exp(-dot(features, popular ? chance.popularity : chance.history)));
}

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i] * b[i];
  return sum;
}
