/** Finds films by what somebody types, as `models/search.py` of the project does. */

const [EXACT, BEGINS, YEAR, ONE_TYPO, TWO_TYPOS, BEGINS_WITH_TYPO] = [1, 0.8, 0.7, 0.6, 0.4, 0.3];
const [COVERED, POPULAR] = [0.3, 0.25];
const LONGEST_WORD = 20;
const PLAIN = { ß: "ss", æ: "ae", œ: "oe", ø: "o", ł: "l", đ: "d", ð: "d", þ: "th", ı: "i" };

/** @returns {(query: string, limit: number) => object[]} the films that fit best */
export function makeSearch(films) {
  const most = Math.log1p(Math.max(1, ...films.map((film) => film.n_ratings)));
  const entries = films.flatMap((film) =>
    film.names.map((name) => ({ film, ...wordsOfName(name) })).filter(({ length }) => length > 0),
  );
  const vocabulary = new Set(entries.flatMap(({ words }) => words));
  return (query, limit) => {
    const typed = [...new Set(wordsOf(query))].map((word) => [...word].slice(0, LONGEST_WORD).join(""));
    if (!typed.length) return [];
    const fits = typed.map((word) => fitOfWords(word, vocabulary));
    const found = entries.map(({ film, words, length }) => {
      const inName = fits.map((fit) => Math.max(...words.map((word) => fit.get(word) ?? 0)));
      const all = inName.map((fit, i) => Math.max(fit, /^\d{4}$/.test(typed[i]) && film.year === Number(typed[i]) ? YEAR : 0));
      const covered = Math.min(inName.filter((fit) => fit > 0).length / length, 1);
      const popularity = Math.log1p(film.n_ratings) / most;
      const score = all.reduce((sum, fit) => sum + fit, 0) / all.length + COVERED * covered + POPULAR * popularity;
      return { film, met: all.filter((fit) => fit > 0).length, score };
    });
    const met = Math.max(...found.map((entry) => entry.met));
    const best = found.filter((entry) => met > 0 && entry.met === met).sort((a, b) => b.score - a.score);
    return [...new Set(best.map(({ film }) => film))].slice(0, limit);
  };
}

function wordsOfName(name) {
  const words = wordsOf(name);
  const parts = name.split(/\s+/).map(wordsOf).filter((part) => part.length > 1);
  return { length: words.length, words: [...new Set([...words, ...parts.map((part) => part.join(""))])] }; // "spiderman" too
}

function wordsOf(text) {
  const small = text.toLowerCase().replace(/[ßæœøłđðþı]/g, (letter) => PLAIN[letter]);
  const plain = small.normalize("NFKD").replace(/\p{Mn}/gu, "");
  const joined = plain.replace(/['\u2019]s(?![\p{L}\p{N}_])/gu, "s").replaceAll("&", " and ");
  return joined.replace(/[^\p{L}\p{N}\s]/gu, " ").split(/\s+/).filter(Boolean);
}

/** How well each word of the titles meets a word that was typed; those that do not are left out. */
function fitOfWords(typed, vocabulary) {
  const fit = new Map();
  for (const word of vocabulary) if (word.startsWith(typed)) fit.set(word, word === typed ? EXACT : BEGINS);
  if (fit.size || typed.length < 4 || /^\d+$/.test(typed)) return fit;
  for (const word of vocabulary) {
    const { whole, beginning } = distances([...typed], [...word].slice(0, LONGEST_WORD));
    if (whole === 1) fit.set(word, ONE_TYPO);
    else if (whole === 2 && typed.length >= 7) fit.set(word, TWO_TYPOS);
    else if (beginning === 1 && typed.length >= 5) fit.set(word, BEGINS_WITH_TYPO);
  }
  return fit;
}

/** Letters to add, drop, change or swap to get from one word to another, and to the nearest of its beginnings. */
function distances(typed, word) {
  const rows = [Array.from({ length: word.length + 1 }, (_, j) => j)];
  typed.forEach((letter, i) => {
    const row = [i + 1];
    word.forEach((other, j) => {
      row.push(Math.min(row[j] + 1, rows[i][j + 1] + 1, rows[i][j] + (letter === other ? 0 : 1)));
      const isSwapped = i > 0 && j > 0 && letter === word[j - 1] && typed[i - 1] === other;
      if (isSwapped) row[j + 1] = Math.min(row[j + 1], rows[i - 1][j - 1] + 1);
    });
    rows.push(row);
  });
  return { whole: rows.at(-1).at(-1), beginning: Math.min(...rows.at(-1)) };
}
