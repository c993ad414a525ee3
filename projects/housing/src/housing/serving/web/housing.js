/**
 * The housing page. Read downwards: the form is built from GET /v1/fields, its
 * state lives in the address, every change asks POST /v1/predictions, and the
 * answer is drawn. The service decides what is valid; the page only shows it.
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
  format,
  hideFailure,
  latestOnly,
  requestJson,
  showFailure,
  showModel,
  showNotice,
} from "../static/page.js";
import {
  showChanged,
  showComparables,
  showContributions,
  showPrice,
  showScale,
  showWarnings,
  spokenAnswer,
} from "./answer.js";
import { offerFeedback } from "./feedback.js";
import {
  applyAddress,
  buildForm,
  clearFieldErrors,
  form,
  readHouse,
  refreshForm,
  saveAddress,
  showFieldErrors,
} from "./form.js";

/** Milliseconds after the last key; longer while a number may be half typed. */
const PAUSE = 250;
const PAUSE_HALF_TYPED = 900;

const region = byId("region");
let knownVersion = null;
let retryTimer = 0;

// ---- Ask ----

const predict = latestOnly(async (signal) => {
  const house = readHouse();
  const answer = await requestJson("v1/predictions", { body: { houses: [house], explain: true }, signal });
  return { house, id: answer.id, model: answer.model, ...answer.predictions[0] };
});

async function update() {
  clearTimeout(retryTimer);
  saveAddress();
  awaitAnswer();
  try {
    const answer = await predict();
    if (answer) showAnswer(answer);
  } catch (error) {
    fail(error, update);
  }
}

/** From the first key on, what is shown is the answer to another house. */
function awaitAnswer() {
  if (region.dataset.state === "ready") region.dataset.state = "loading";
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
  showChanged("repaired", answer.repaired);
  showChanged("filled", answer.filled);
  offerFeedback(answer);
  announce(spokenAnswer(answer));
  if (answer.model.version !== knownVersion) loadModel();
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

// ---- Which model ----

async function loadModel() {
  try {
    const model = await requestJson("v1/model");
    knownVersion = model.version;
    showModel(model, errorEntry(model));
    byId("feedback").hidden = !model.feedback;
  } catch (error) {
    // The next answer names its model, and asks again.
    knownVersion = null;
    byId("model-badge").replaceChildren(element("div", {}, `The model is unknown: ${error.message}`));
  }
}

function errorEntry({ metrics }) {
  const error = metrics.root_mean_squared_log_error;
  return { label: "Test RMSLE", value: format.metric(error.estimate), note: describeInterval(error) };
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
  awaitAnswer();
  updateSoon();
});
form.addEventListener("submit", (event) => event.preventDefault());
// The controls have their first values again only after the event.
form.addEventListener("reset", () => setTimeout(restart));
enableCopyLink(saveAddress);
start();
