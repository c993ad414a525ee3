/**
 * How unlike the training pictures a picture is, as `models/novelty.py` and `models/neighbors.py` compute it. A model
 * with a frozen network has no neighbors.
 */

/**
 * @param {Float32Array} embedding what the network found in the picture
 * @param {number} named the label with the highest probability
 * @param {object} arrays of the model, by name
 * @param {object} rules of the model's novelty
 * @returns {number} above 1: unlike all training pictures
 */
export function unfamiliarity(embedding, named, arrays, rules) {
  const toNearest = distance(embedding, arrays, rules.power);
  if (!arrays.means) return toNearest / rules.threshold;
  const measures = [toNearest, ...neighborDistances(embedding, named, arrays, rules)];
  const standard = measures.map((measure, i) => {
    const place = measures.length * named + i;
    const deviations = (measure - arrays.means.values[place]) / arrays.deviations.values[place];
    return Math.min(Math.max(deviations, rules.within[0]), rules.within[1]);
  });
  return Math.exp(mean(standard) - rules.threshold);
}

/** To the nearest training picture, divided by a power of the picture's own length. */
function distance(embedding, { directions, known }, power) {
  const row = project(embedding, directions);
  let nearest = Infinity;
  for (let i = 0; i < known.shape[0]; i += 1) {
    nearest = Math.min(nearest, row.reduce((sum, value, j) => sum + (known.values[i * row.length + j] - value) ** 2, 0));
  }
  return Math.sqrt(nearest) / Math.max(lengthOf(row), 1e-6) ** power;
}

/** One minus the mean cosine to the nearest of any kind, and to the nearest of the kind that was named. */
function neighborDistances(embedding, named, arrays, { nearest, of_its_kind }) {
  const center = arrays["neighbors.centre"].values;
  const row = project(embedding.map((value, i) => value - center[i]), arrays["neighbors.directions"]);
  const length = Math.max(lengthOf(row), 1e-12);
  const { values, shape } = arrays["neighbors.training"];
  const cosines = Array.from({ length: shape[0] }, (_, i) =>
    row.reduce((sum, value, j) => sum + (value / length) * values[i * row.length + j], 0),
  );
  const kinds = arrays["neighbors.labels"].values;
  const ofItsKind = cosines.filter((_, i) => kinds[i] === named);
  return [1 - meanOfLargest(cosines, nearest), 1 - meanOfLargest(ofItsKind, of_its_kind)];
}

function project(vector, { shape: [, kept], values }) {
  const projected = new Float64Array(kept);
  vector.forEach((value, i) => {
    for (let j = 0; j < kept; j += 1) projected[j] += value * values[i * kept + j];
  });
  return projected;
}

function lengthOf(row) {
  return Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
}

function meanOfLargest(values, count) {
  return values.length ? mean(values.sort((a, b) => b - a).slice(0, count)) : -1;
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
