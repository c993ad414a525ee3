/** What the house was sold for, said in one click of the estimate that is shown. */

import { byId, element, feedbackSender, format } from "../static/page.js";
import { inDollars } from "./answer.js";

/** With or without cents; groups by commas alone, because "185.000" and "1,85" mean different prices to different people. */
const PRICE = /^\$?(\d+|\d{1,3}(,\d{3})+)(\.\d\d)?$/;

const input = byId("sold-price");
const state = byId("sold-state");
const send = feedbackSender();

/** The estimate that is shown, and the text in the field that was sent for it. */
let shown = null;
let submitted = null;

/** Offers the form for a new estimate; a price that was typed and not sent stays. */
export function offerFeedback(answer) {
  if (input.value === submitted) input.value = "";
  submitted = null;
  shown = answer;
  if (state.dataset.kind !== "sending") say("", "");
}

async function submit(event) {
  event.preventDefault();
  const answer = shown;
  const price = readPrice(input.value);
  if (price === null) {
    say("error", "Enter dollars from 1,000 to 10,000,000, such as 185,000 or 185,000.50.");
    input.setAttribute("aria-invalid", "true");
    input.focus();
    return;
  }
  if (byId("region").dataset.state !== "ready") {
    say("error", "The estimate is not of this house yet. Tell us when it is.");
    return;
  }
  submitted = input.value;
  say("sending", "Sending…");
  const { failure } = await send(answer.id, 0, { price });
  if (answer !== shown) {
    say(failure ? "error" : "done", failure ? `Of the house before: ${failure}` : "Kept for the house before.");
  } else if (failure) {
    submitted = null;
    say("error", failure);
  } else {
    say("done", element("strong", {}, "Thank you."), ` ${comparison(price, answer)}`);
  }
}

function readPrice(text) {
  const price = PRICE.test(text.trim()) ? Number(text.replace(/[$,]/g, "")) : 0;
  return price >= 1000 && price <= 1e7 ? price : null;
}

function comparison(paid, { price, interval }) {
  const difference = Math.round(price) - Math.round(paid);
  const isInside = paid >= interval.low && paid <= interval.high;
  const where = `${isInside ? "inside" : "outside"} the ${format.percent(interval.coverage)} interval`;
  if (difference === 0) return "The estimate was right to the dollar.";
  return `The estimate was ${inDollars(Math.abs(difference))} too ${difference > 0 ? "high" : "low"}; the price lies ${where}.`;
}

function say(kind, ...content) {
  state.dataset.kind = kind;
  state.replaceChildren(...content);
  input.removeAttribute("aria-invalid");
}

byId("sold").addEventListener("submit", submit);
