/** The page: a picture comes in as a file, and its answer is shown beside it. */

import {
  announce,
  byId,
  describeErrors,
  describeFailure,
  describeInterval,
  element,
  format,
  hideFailure,
  requestJson,
  setProperties,
  showFailure,
  showModel,
} from "../static/page.js";

const region = byId("results");

/** Classifies one file after the other: the service has few threads. */
async function take(files) {
  for (const file of files) {
    region.dataset.state = "loading";
    try {
      const url = await readAsUrl(file);
      const result = await requestJson("v1/classifications", { body: { picture: url.slice(url.indexOf(",") + 1) } });
      hideFailure();
      byId("nothing").hidden = true;
      byId("answers").prepend(answerRow(result, url));
      announce(`${titleOf(result)}, ${format.percent(result.predictions[0].probability)}`);
      region.dataset.state = "ready";
    } catch (error) {
      fail(error);
    }
  }
}

function readAsUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(file);
  });
}

function titleOf({ predictions, unsure }) {
  if (unsure === "unfamiliar") return "Not sure: none of these?";
  return unsure ? `Not sure: ${predictions[0].label}?` : predictions[0].label;
}

function answerRow(result, url) {
  const cells = result.predictions.flatMap(({ label, probability }) => [
    element("dt", {}, label),
    element("dd", {}, setProperties(element("div", { class: "share" }), { "--share": format.percent(probability) })),
    element("dd", {}, format.percent(probability)),
  ]);
  const why =
    result.unsure === "unfamiliar"
      ? "It is unlike all pictures that the model learned from."
      : `At ${format.percent(result.coverage)}, it cannot rule out: ${result.label_set.join(", ")}.`;
  const picture = element("div", { class: "picture" }, element("img", { src: url, alt: "" }));
  const text = element("div", {}, element("h3", { "data-testid": "title" }, titleOf(result)));
  text.append(element("dl", { class: "bars" }, ...cells), element("p", { class: "soft" }, why));
  return element("li", { "data-testid": "answer" }, picture, text);
}

function fail(error) {
  const { title, text } = describeFailure(error);
  showFailure(title, text, describeErrors(error.errors));
  region.dataset.state = byId("answers").children.length ? "ready" : "empty";
}

function exampleRow(name) {
  const url = `v1/examples/${encodeURIComponent(name)}`;
  const button = element("button", { type: "button", "data-testid": "example" }, element("img", { src: url, alt: `Example: ${name}` }));
  button.addEventListener("click", async () => {
    try {
      await take([await (await fetch(url)).blob()]);
    } catch (error) {
      fail(error);
    }
  });
  return element("li", {}, button);
}

async function start() {
  try {
    const [known, model] = await Promise.all([requestJson("v1/labels"), requestJson("v1/model")]);
    byId("labels").textContent = `${known.labels.join(", ")}.`;
    byId("examples").hidden = !known.examples.length;
    byId("example-list").replaceChildren(...known.examples.map(exampleRow));
    const { accuracy } = model.metrics;
    showModel(model, { label: "Test accuracy", value: format.percent(accuracy.estimate), note: describeInterval(accuracy, format.percent) });
    hideFailure();
  } catch (error) {
    fail(error);
  }
}

byId("file").addEventListener("change", (event) => take([...event.target.files]));
byId("upload").addEventListener("submit", (event) => event.preventDefault());
byId("retry").addEventListener("click", start);
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  take([...event.dataTransfer.files]);
});
start();
