/** What the house was sold for, said in one click of the estimate that is shown. */

import { byId, describeFailure, element, format, sendFeedback } from "../static/page.js";
import { inDollars } from "./answer.js";

const input = byId("sold-price");
const GONE = 404;

/** The estimate that is shown, and whether its price was told. */
let shown = null;
let isTold = false;

/** Offers the form for a new estimate; a price that was typed and not sent stays. */
export function offerFeedback(answer) {
  if (isTold) input.value = "";
  shown = answer;
  isTold = false;
  say("", "");
}

async function tell(event) {
  event.preventDefault();
  const answer = shown;
  const price = readPrice(input.value);
  if (price === null) {
    say("error", "Enter the price in dollars, such as 185,000.");
    input.setAttribute("aria-invalid", "true");
    input.focus();
    return;
  }
  if (byId("region").dataset.state !== "ready") {
    say("error", "The estimate is not of this house yet. Tell us when it is.");
    return;
  }
  say("", "Sending…");
  try {
    await sendFeedback(answer.id, 0, { price });
  } catch (error) {
    if (answer === shown) say("error", failureText(error));
    return;
  }
  if (answer !== shown) return; // another house is shown by now: its price was not told
  isTold = true;
  input.value = format.decimal(price);
  say("done", element("strong", {}, "Thank you."), ` ${comparison(price, answer)}`);
}

/** "$185,000" and "185 000" are prices; null for what is none. */
function readPrice(text) {
  const digits = text.replace(/[$,\s]/g, "");
  const price = /^\d+(\.\d+)?$/.test(digits) ? Number(digits) : 0;
  return price > 0 && price < 1e9 ? price : null;
}

function comparison(paid, { price, interval }) {
  const difference = Math.round(price) - Math.round(paid);
  const isInside = paid >= interval.low && paid <= interval.high;
  const where = `${isInside ? "inside" : "outside"} the ${format.percent(interval.coverage)} interval`;
  if (difference === 0) return "The estimate was right to the dollar.";
  return `The estimate was ${inDollars(Math.abs(difference))} too ${difference > 0 ? "high" : "low"}; the price lies ${where}.`;
}

function failureText(error) {
  if (error.status === GONE) return "This estimate is stored no longer. Reload the page, and tell us again.";
  const { title, text } = describeFailure(error);
  return `Not stored. ${title} ${text}`;
}

function say(kind, ...content) {
  const state = byId("sold-state");
  state.dataset.kind = kind;
  state.replaceChildren(...content);
  input.removeAttribute("aria-invalid");
}

byId("sold").addEventListener("submit", tell);
