/** What a picture shows, said in one click: its label, or none of them. */

import { describeFailure, element, isServiceFailure, sendFeedback } from "../static/page.js";

const GONE = 404;

/**
 * The buttons under an answer: its own labels first, a list of the other ones where there are more, "None of these".
 *
 * @param {string} id of the answer, which is about this picture alone
 * @param {object} result
 * @param {string[]} labels all that the model knows
 */
export function feedbackOn(id, result, labels) {
  const question = result.unsure ? "What is it?" : "Is it right?";
  const state = element("p", { class: "told-state", role: "status", "data-testid": "told" }, question);
  const choices = element("div", { class: "told", role: "group", "aria-label": `What ${result.file} shows` });
  const tell = (label, control) => send({ id, label, control, choices, state });

  const named = result.predictions.map(({ label }) => label);
  const buttons = named.map((label, place) => {
    if (place > 0 || result.unsure) return button({}, label, (control) => tell(label, control));
    return button({ "data-right": true, "aria-label": `Right: ${label}` }, "Right", (control) => tell(label, control));
  });
  const none = button({}, "None of these", (control) => tell(null, control));
  if (result.unsure?.reason === "unfamiliar") buttons.unshift(none);
  else buttons.push(none);
  const others = labels.filter((label) => !named.includes(label));
  choices.append(...buttons);
  if (others.length) none.before(listOf(others, tell));
  return element("div", { class: "feedback", "data-testid": "feedback" }, state, choices);
}

function button(attributes, text, onClick) {
  const control = element("button", { type: "button", class: "button", "aria-pressed": "false", ...attributes }, text);
  control.addEventListener("click", () => onClick(control));
  return control;
}

function listOf(labels, tell) {
  const empty = element("option", { value: "" }, "Another");
  const list = element("select", { class: "input", "aria-label": "Another label" }, empty);
  list.append(...labels.map((label) => element("option", {}, label)));
  list.addEventListener("change", () => list.value && tell(list.value, list));
  return list;
}

/** Sends the latest word; what was pressed before stays so where it cannot be kept. */
async function send({ id, label, control, choices, state }) {
  if (choices.dataset.sending) return;
  choices.dataset.sending = "true";
  const before = choices.querySelector("[data-told]");
  mark(before, control);
  try {
    await sendFeedback(id, 0, { label });
    say(state, "done", `Thank you: kept as ${label ?? "none of these"}.`);
  } catch (error) {
    mark(control, before);
    say(state, "error", failureText(error));
  } finally {
    delete choices.dataset.sending;
  }
}

/** Moves the mark of what was told from one control to another. */
function mark(from, to) {
  for (const [control, isTold] of [[from, false], [to, true]]) {
    if (!control) continue;
    control.toggleAttribute("data-told", isTold);
    if (control.tagName === "BUTTON") control.setAttribute("aria-pressed", String(isTold));
    else if (!isTold) control.value = "";
  }
}

function failureText(error) {
  if (error.status === GONE) return "Not kept. The service has this answer no longer.";
  if (!isServiceFailure(error)) throw error;
  return `Not kept. ${describeFailure(error).text}`;
}

function say(state, kind, text) {
  state.dataset.kind = kind;
  state.textContent = text;
}
