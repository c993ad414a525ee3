/** What a picture shows, said in one click: its label, or none of them. */

import { element, feedbackSender } from "../static/page.js";

const send = feedbackSender();

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
  const say = (kind, text) => {
    state.dataset.kind = kind;
    state.textContent = text;
  };
  let told = null;
  const controls = new Map(); // each button, and what returns its label
  const mark = (truth) => {
    told = truth;
    for (const [control, labelOf] of controls) control.setAttribute("aria-pressed", String(labelOf() === told?.label));
  };
  const tell = async (label) => {
    mark({ label });
    const { kept, failure } = await send(id, 0, { label });
    mark(kept);
    say(failure ? "error" : "done", failure || `Thank you: kept as ${kept.label ?? "none of these"}.`);
  };
  const button = (text, labelOf, attributes = {}) => {
    const control = element("button", { type: "button", class: "button", "aria-pressed": "false", ...attributes }, text);
    control.addEventListener("click", () => {
      if (labelOf() === "") return say("error", "Choose a label from the list first.");
      tell(labelOf());
    });
    controls.set(control, labelOf);
    return control;
  };

  const named = result.predictions.map(({ label }) => label);
  const buttons = named.map((label, place) => {
    if (place > 0 || result.unsure) return button(label, () => label);
    return button("Right", () => label, { "data-right": true, "aria-label": `Right: ${label}` });
  });
  const others = labels.filter((label) => !named.includes(label));
  if (others.length) {
    const list = listOf(others);
    list.addEventListener("change", () => mark(told));
    buttons.push(element("span", { class: "told-other" }, list, button("It is this one", () => list.value)));
  }
  const none = button("None of these", () => null);
  if (result.unsure?.reason === "unfamiliar") buttons.unshift(none);
  else buttons.push(none);
  const choices = element("div", { class: "told", role: "group", "aria-label": `What ${result.file} shows` }, ...buttons);
  return element("div", { class: "feedback", "data-testid": "feedback" }, state, choices);
}

/** A list that sends nothing by itself: while it is closed, each arrow key chooses. */
function listOf(labels) {
  const empty = element("option", { value: "" }, "Another");
  const options = labels.map((label) => element("option", {}, label));
  return element("select", { class: "input", "aria-label": "Another label" }, empty, ...options);
}
